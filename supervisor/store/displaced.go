package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// displaced is what somebody else has done to the state file, or to its
// directory, while it is in use. What is written there from then on would be
// found by nobody, or by nobody whole.
type displaced string

func (d displaced) Error() string { return string(d) }

const (
	fileRemoved  displaced = "the state file was removed"
	fileReplaced displaced = "the state file was replaced by another"
	fileWritten  displaced = "something else has written into the state file"
	dirRemoved   displaced = "the state directory was removed"
	dirReplaced  displaced = "the state directory was replaced by another"
)

// whereIs looks at what path leads to, which should be the one that was. What
// can't be known does not count: info is nil then.
func whereIs(path string, one fs.FileInfo, removed, replaced displaced) (info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, removed
	case err != nil:
		return nil, nil
	case one != nil && !os.SameFile(one, info):
		return nil, replaced
	}
	return info, nil
}

// What is wrong with what is put aside: a write has failed there, or it was
// found in the place of the state file and is somebody else's. The latter stays
// for ever, and nothing is restored from it.
const (
	wrongFailed = "failed"
	wrongFound  = "found"
)

// found returns what the path of the open file leads to, or an error of type
// displaced.
func (m *mirror) found() (fs.FileInfo, error) {
	if err := m.at.stands(); err != nil {
		return nil, err
	}
	one := m.file.identity
	if m.at.alike {
		one = nil
	}
	return whereIs(m.at.file(), one, fileRemoved, fileReplaced)
}

// displaced says what somebody else has done to the file that is open: an error
// of type displaced; nil: nothing. Any other error is the disk's.
func (m *mirror) displaced() error {
	info, err := m.found()
	if err != nil {
		return err
	}
	now, err := m.file.look()
	switch {
	case err != nil:
		return err
	case now.heads != m.file.left.heads:
		return fileWritten
	case m.file.left.sameTimes(now.info) && (info == nil || m.file.left.sameTimes(info)):
		return nil
	}
	// Times alone prove nothing: a program may set them, and not every file
	// system keeps them.
	if file, err := readFile(m.at.file()); err != nil || !m.last.endsWell(file) {
		return fileWritten
	}
	m.file.left = now
	return nil
}

// endsWell says whether a file is whole, in both of its copies, and goes up to p.
func (p position) endsWell(file []byte) bool {
	img := readImage(file)
	return img.good() && !img.worn && len(img.torn) == 0 && img.position == p
}

// rebuild writes everything into a fresh file, after what somebody else did.
func (m *mirror) rebuild(c change, did displaced) error {
	path := m.at.file()
	if did == dirRemoved || did == dirReplaced {
		path = m.at.dir
	}
	m.part(wrongFound)
	aside := map[*place]string{}
	err := m.renewAs(c, func(p *place) string {
		aside[p] = p.asideName(wrongFound, m.options.Now())
		return aside[p]
	})
	what := string(did) + " while it was in use; "
	if err != nil {
		what += fmt.Sprintf("everything is kept in memory and will be lost with this process, because it can't be written anew (%v)", err)
	} else {
		what += "everything that was stored is now in " + m.where()
		if _, err := os.Lstat(aside[m.at]); err == nil {
			what += "; what was found in its place is kept as " + aside[m.at]
		}
		m.settleIn()
	}
	m.tell(Trouble{What: what, Path: path, Err: did, Displaced: true})
	return err
}

// settleIn looks around where everything was just written to. A file system on
// which the fresh file is another one at once does not tell files apart: there
// only their content counts, so that nothing is written anew for ever.
func (m *mirror) settleIn() {
	if len(m.at.backupPaths()) == 0 {
		m.backedUp = time.Time{} // the next one is due
	}
	if m.displaced() == nil {
		return
	}
	m.at.alike = true
	if m.displaced() != nil {
		m.at.alike = false // it was done once more, and will be seen by the next look
		return
	}
	m.options.Log.Warn("the file system does not tell one file from another; whether the state file is replaced is seen by its content alone", "path", m.at.file())
}

// look is [Journal.Look].
func (m *mirror) look() {
	// A disk that hangs does so here, where nobody waits.
	for _, p := range m.places {
		_, _ = os.Stat(p.file())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		if m.fault != nil && !m.closed {
			_ = m.recover(nil)
		}
		return
	}
	if err := m.displaced(); err != nil {
		_ = m.leave(nil, "the state file can't be looked at, and is not used any more", err)
	}
}
