// Package inotify tells what happens at paths (inotify(7)). It asks the kernel
// itself, because libraries for it also wake up for every write to every file in a
// directory.
package inotify

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// event is one thing that happened.
type event struct {
	// mask holds one of the kernel's bits IN_….
	mask uint32
	// name in the directory; "" for the directory itself.
	name string

	watch int32 // the kernel's number of the directory's watch
}

// kernel is an instance of inotify as the kernel gives it, with a watch for each
// directory. Its events are read by one goroutine; the rest is safe for concurrent use.
type kernel struct {
	events *os.File
	buf    []byte
}

// open watches nothing yet. The error is the kernel's: EMFILE where the user has no
// instance left (fs.inotify.max_user_instances).
func open() (*kernel, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &kernel{events: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 4096)}, nil
}

// add watches one more directory. The error is the kernel's: ENOENT and ENOTDIR where
// there is no directory, ENOSPC where the user has no watch left
// (fs.inotify.max_user_watches).
func (k *kernel) add(dir string, mask uint32) (watch int32, err error) {
	raw, err := k.events.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number int
	failed := raw.Control(func(fd uintptr) { number, err = unix.InotifyAddWatch(int(fd), dir, mask|unix.IN_ONLYDIR) })
	return int32(number), errors.Join(failed, err)
}

// remove watches a directory no longer.
func (k *kernel) remove(watch int32) {
	raw, err := k.events.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) })
}

// close ends it, and the waiting of who reads.
func (k *kernel) close() error { return k.events.Close() }

// next blocks until something has happened, and returns all of it, at least
// one event, or an error after the end.
func (k *kernel) next() ([]event, error) {
	n, err := k.events.Read(k.buf)
	if err != nil {
		return nil, err
	}
	return parse(k.buf[:n]), nil
}

// parse reads whole events (struct inotify_event: wd, mask, cookie, len, then
// the name padded with zeros).
func parse(b []byte) []event {
	var all []event
	for len(b) >= unix.SizeofInotifyEvent {
		e := event{watch: int32(binary.NativeEndian.Uint32(b)), mask: binary.NativeEndian.Uint32(b[4:])}
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if end > len(b) {
			return append(all, e)
		}
		e.name = strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
		all, b = append(all, e), b[end:]
	}
	return all
}
