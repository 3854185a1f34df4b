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

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// The ring is two files of half its size: lines are added to one until it is full, which
// then takes the place of the other.
const (
	fileName   = "history"
	beforeName = "history.before"
	// least and most are the sizes of both together, and forEach is what an account adds.
	least   = 4 << 20
	most    = 64 << 20
	forEach = 256 << 10
)

// sizeFor is how large the ring of so many accounts is, so that it keeps two days of them.
func sizeFor(accounts int) int64 { return min(max(least, int64(accounts)*forEach), most) }

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
	f, info, err := openFile(r.path(fileName), os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// openFile opens a file of the ring, and waits for nobody: what else stands in its place, as a
// named pipe, is refused, and by the error a person knows what to do.
func openFile(path string, how int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, how|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, nil, noHistory(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = noHistory(path, fmt.Errorf("%s is no file", path))
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// noHistory says of what is no file what stands there, and of a file err.
func noHistory(path string, err error) error {
	info, lerr := os.Lstat(path)
	if lerr != nil || info.Mode().IsRegular() {
		return err
	}
	is := "something else than a file"
	switch mode := info.Mode(); {
	case mode.IsDir():
		is = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		is = "a named pipe"
	case mode&fs.ModeSymlink != 0:
		is = "a link"
	}
	return fmt.Errorf("%s is %s and no history: move it away, and the history goes on by itself", path, is)
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
// what has to be known of it. Where it can't take that place, as a folder stands there, its
// newest half stays in the one file that there is.
func (r ring) turn() error {
	full := r.part(fileName)
	defer full.close()
	if full.err != nil {
		return full.err
	}
	var stays []byte
	gone := full
	if os.Rename(r.path(fileName), r.path(beforeName)) != nil {
		half := full.end(min(full.text.Size(), r.half) / 2)
		text, err := io.ReadAll(half)
		if err != nil {
			return err
		}
		stays = text[bytes.IndexByte(text, '\n')+1:]
		gone.text = io.NewSectionReader(full.text, 0, full.text.Size()-int64(len(stays)))
	}
	begin := r.begin(gone)
	f, size, err := r.open()
	if err != nil {
		return err
	}
	if size > 0 {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.Write(append(begin, stays...))
	}
	return errors.Join(err, f.Close())
}

// begin is what has to be known of lines that will be gone, as lines: the newest of them, as
// far as there is room.
func (r ring) begin(gone part) []byte {
	var known [][]byte
	room := r.half / 4
	for l := range lasting(gone.lines) {
		line, err := l.marshal()
		if err != nil {
			continue
		}
		known, room = append(known, line), room-int64(len(line))
		for ; room < 0; known = known[1:] {
			room += int64(len(known[0]))
		}
	}
	return bytes.Join(known, nil)
}

// Aside adds what a person has done to a state directory in which no supervisor runs. When
// the ring turns is for a supervisor to know, which has so many accounts.
func Aside(stateDir string, done ...event.Event) error {
	var text []byte
	for _, e := range done {
		line, err := Line{Event: e, Aside: true}.marshal()
		if err != nil {
			return err
		}
		text = append(text, line...)
	}
	return ring{stateDir, most / 2}.add(text)
}
