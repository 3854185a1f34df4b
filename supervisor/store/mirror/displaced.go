package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

const (
	fileRemoved  journal.Displaced = "the state file was removed"
	fileReplaced journal.Displaced = "the state file was replaced by another"
	dirRemoved   journal.Displaced = "the state directory was removed"
	dirReplaced  journal.Displaced = "the state directory was replaced by another"
)

// whereIs looks at what path, which is in the place, leads to: it should be the one that
// was, if files can be told apart. What can't be known does not count: info is nil then.
func (p *place) whereIs(path string, one fs.FileInfo, removed, replaced journal.Displaced) (info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, removed
	case err != nil:
		return nil, nil
	case one != nil && !p.alike && !os.SameFile(one, info):
		return nil, replaced
	}
	return info, nil
}

// What is wrong with what is put aside: a write has failed there, a newer one has taken its
// place, or it was found in the place of the state file and is somebody else's. The latter
// stays for ever, and nothing is restored from it.
const (
	wrongFailed = "failed"
	wrongOlder  = "older"
	wrongFound  = "found"
)

// found returns what the path of the open file leads to, or an error of type
// journal.Displaced.
func (m *upkeep) found() (fs.FileInfo, error) {
	if err := m.at.stands(); err != nil {
		return nil, err
	}
	return m.at.whereIs(m.at.file(), m.file.Identity, fileRemoved, fileReplaced)
}

// displaced says what somebody else has done to the file that is open: an error
// of type journal.Displaced; nil: nothing. Any other error is the disk's.
func (m *upkeep) displaced() error {
	info, err := m.found()
	if err != nil {
		return err
	}
	return m.file.Untouched(m.at.file(), info)
}

// rebuild writes everything into a fresh file, after what somebody else did.
func (m *upkeep) rebuild(c map[string][]byte, did journal.Displaced) error {
	path := m.at.file()
	if did == dirRemoved || did == dirReplaced {
		path = m.at.dir
	}
	kept, err := m.renew(c, wrongFound, nil)
	what := string(did) + " while it was in use; "
	if err != nil {
		what += fmt.Sprintf("everything is kept in memory and will be lost with this process, because it can't be written anew (%v)", err)
	} else {
		what += "everything that was stored is now in " + m.where()
		if kept != "" {
			what += "; what was found in its place is kept as " + kept
		}
		m.lookAround()
	}
	m.tell(Trouble{What: what, Path: path, Err: did, Displaced: true})
	return err
}

// lookAround looks around where everything was just written to. A file system on
// which the fresh file is another one at once does not tell files apart: there
// only their content counts, so that nothing is written anew for ever.
func (m *upkeep) lookAround() {
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

// Look sees whether the state file is still what its path leads to and as it
// was written, and whether the disk takes writes again. Call it now and then:
// otherwise the next write, or Close, is the first to notice. It may take as
// long as the disk does, and then holds up nobody but its caller.
func (m *Mirror) Look() {
	// A disk that hangs does so here, where nobody waits.
	for _, p := range m.places {
		_, _ = os.Stat(p.file())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.watch(m.worksFor())() // whoever writes waits for this
	if m.file == nil {
		if m.fault.is() != nil && !m.closed {
			_ = m.recover(nil, Trouble{})
		}
		return
	}
	if err := m.displaced(); err != nil {
		_ = m.leave(nil, "the state file can't be looked at, and is not used any more", err)
	}
}
