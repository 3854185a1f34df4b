package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The ring is two files of half its size: lines are added to one until it is full, which
// then takes the place of the other.
const (
	fileName   = "history"
	beforeName = "history.before"
	// DefaultSize is that of both.
	DefaultSize = 4 << 20
)

// ring is where lines are added. Nothing stays open between two writes, so that it does not
// matter what somebody does with the files meanwhile.
type ring struct {
	dir  string
	half int64
}

func (r ring) path(name string) string { return filepath.Join(r.dir, name) }

// add writes whole lines. It does not wait for the disk: what a loss of power takes is the
// newest half minute.
func (r ring) add(text []byte) error {
	for len(text) > 0 { // a storm's lines may be more than a file takes
		some := fitting(text, int(r.half/8))
		if err := r.addSome(text[:some]); err != nil {
			return err
		}
		text = text[some:]
	}
	return nil
}

// fitting is how long those whole lines are that text begins with and that are most bytes
// together, or the first one of them.
func fitting(text []byte, most int) int {
	if len(text) <= most {
		return len(text)
	}
	if n := bytes.LastIndexByte(text[:most], '\n'); n >= 0 {
		return n + 1
	}
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		return n + 1
	}
	return len(text)
}

func (r ring) addSome(text []byte) error {
	f, size, err := r.open()
	if err == nil && size > 0 && size+int64(len(text)) >= r.half { // one more ends a torn line
		_ = f.Close()
		if err = r.turn(); err == nil {
			f, size, err = r.open()
		}
	}
	if err != nil {
		return err
	}
	if torn(f, size) {
		text = append([]byte("\n"), text...)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (r ring) open() (*os.File, int64, error) {
	if err := r.isOurs(); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(r.path(fileName), os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", f.Name())
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// isOurs refuses a directory that somebody has put in the place of ours since the start: a
// file in it might be another name of one that is not for the history.
func (r ring) isOurs() error {
	info, err := os.Stat(r.dir)
	if err != nil {
		return err
	}
	const unmapped = 65534 // who is not of this user namespace
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && st.Uid != unmapped {
		return fmt.Errorf("%s belongs to user %d", r.dir, st.Uid)
	}
	return nil
}

// torn says whether the last line has no end: a write was cut off.
func torn(f *os.File, size int64) bool {
	if size == 0 {
		return false
	}
	var last [1]byte
	n, _ := f.ReadAt(last[:], size-1)
	return n == 1 && last[0] != '\n'
}

// turn puts the file that is full in the place of the one before, and begins another with
// what has to be known of it.
func (r ring) turn() error {
	text, _, err := r.readNewest(fileName)
	if err == nil {
		err = os.Rename(r.path(fileName), r.path(beforeName))
	}
	if err != nil {
		return err
	}
	var begin []byte
	known := lasting(parse(text))
	for n := len(known) - 1; n >= 0; n-- {
		line, err := known[n].marshal()
		if err != nil || int64(len(begin)+len(line)) > r.half/4 {
			break
		}
		begin = append(line, begin...)
	}
	f, _, err := r.open()
	if err != nil {
		return err
	}
	_, err = f.Write(begin)
	return errors.Join(err, f.Close())
}

// Past is what the ring holds.
type Past struct {
	Lines []Line
}

// Read reads the ring of a state directory, whether a supervisor runs or not. None at all is
// no error: there has been no supervisor yet.
func Read(stateDir string) (Past, error) {
	r := ring{stateDir, DefaultSize / 2}
	const tries = 3
	for n := range tries {
		before, after, turned, err := r.read()
		if err != nil {
			return Past{}, err
		}
		if turned && n < tries-1 { // while it was read
			continue
		}
		lines := parse(before)
		repeated := len(lines) > 0
		for _, l := range parse(after) {
			if !l.Again || !repeated {
				lines = append(lines, l)
			}
		}
		return Past{lines}, nil
	}
	return Past{}, nil
}

// read reads both files; turned says that they are one and the same by now.
func (r ring) read() (before, after []byte, turned bool, err error) {
	after, is, err := r.readNewest(fileName)
	if err != nil {
		return nil, nil, false, err
	}
	before, was, err := r.readNewest(beforeName)
	return before, after, is != nil && was != nil && os.SameFile(is, was), err
}

// readNewest is what a file holds; nothing if it is not there. Of one that is larger than
// we make it, it is the end.
func (r ring) readNewest(name string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(r.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no file", f.Name())
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-r.half), r.half))
	return text, info, err
}
