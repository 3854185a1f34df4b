// Package inotify tells what happens to names in a directory (inotify(7)). It
// asks the kernel itself, because libraries for it also wake up for every write
// to every file in the directory.
package inotify

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one thing that happened.
type Event struct {
	// Mask holds one of the kernel's bits IN_….
	Mask uint32
	// Name in the directory; "" for the directory itself.
	Name string

	watch int32 // the kernel's number of the directory's watch
}

// Watch is a watch on one directory. It is for one goroutine at a time.
type Watch struct {
	events *os.File
	buf    []byte
}

// Open watches a directory for what mask says. Close it after use. The error
// is the kernel's: ENOENT and ENOTDIR where there is no directory, ENOSPC and
// EMFILE where the user has no watch left (fs.inotify.max_user_watches and
// max_user_instances).
func Open(dir string, mask uint32) (*Watch, error) {
	w, err := newWatch()
	if err != nil {
		return nil, err
	}
	if _, err := w.add(dir, mask); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

// newWatch watches nothing yet.
func newWatch() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Watch{events: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 4096)}, nil
}

// add watches one more directory.
func (w *Watch) add(dir string, mask uint32) (watch int32, err error) {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number int
	failed := raw.Control(func(fd uintptr) { number, err = unix.InotifyAddWatch(int(fd), dir, mask|unix.IN_ONLYDIR) })
	return int32(number), errors.Join(failed, err)
}

// remove watches a directory no longer.
func (w *Watch) remove(watch int32) {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) })
}

// Close ends the watch.
func (w *Watch) Close() error { return w.events.Close() }

// Next blocks until something has happened, and returns all of it, at least
// one event. After ctx has ended the error is ctx's.
func (w *Watch) Next(ctx context.Context) ([]Event, error) {
	for {
		if err := w.events.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = w.events.SetReadDeadline(time.Unix(1, 0)) })
		n, err := w.events.Read(w.buf)
		stop()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded): // an earlier context's, which came late
		case err != nil:
			return nil, err
		default:
			return parse(w.buf[:n]), nil
		}
	}
}

// Pending returns what has happened up to now, without waiting.
func (w *Watch) Pending() ([]Event, error) {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return nil, err
	}
	var all []Event
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), w.buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				if !errors.Is(err, unix.EAGAIN) {
					failed = err
				}
				return
			}
			all = append(all, parse(w.buf[:n])...)
		}
	})
	return all, errors.Join(err, failed)
}

// parse reads whole events (struct inotify_event: wd, mask, cookie, len, then
// the name padded with zeros).
func parse(b []byte) []Event {
	var all []Event
	for len(b) >= unix.SizeofInotifyEvent {
		e := Event{watch: int32(binary.NativeEndian.Uint32(b)), Mask: binary.NativeEndian.Uint32(b[4:])}
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if end > len(b) {
			return append(all, e)
		}
		e.Name = strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
		all, b = append(all, e), b[end:]
	}
	return all
}
