package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// largest is how much of a file is read: more than any token file has.
const largest = format.Largest

// noFile: a link, a FIFO or the like has taken the place of the file, where a delivery
// writes nothing.
type noFile fs.FileMode

func (m noFile) Error() string {
	if fs.FileMode(m)&fs.ModeSymlink != 0 {
		return "it is a symbolic link: set the path of the file that it names"
	}
	return "it is " + files.Kind(fs.FileMode(m)) + ": move it away or set another path"
}
func (m noFile) Is(target error) bool { return target == fs.ErrNotExist }

// Holds implements [sink.Holder]. Asked lightly, what is no file holds nothing: the
// delivery that follows says what is in its way.
func (s *Sink) Holds(ctx context.Context, q readback.Question) (held readback.Held, err error) {
	if err := ctx.Err(); err != nil {
		return held, err
	}
	path, err := s.path(format.Document{Account: q.Account, Provider: q.Provider})
	if err != nil {
		return held, err
	}
	s.follow(path, q.Account)
	if q.Lightly && s.stands(path, q) {
		return readback.Held{File: path, Untouched: true}, nil
	}
	for n := 0; ; n++ {
		err = s.inDirectory(path, func(sys files.System, path string, _ atomicfile.Attributes) error {
			held, err = s.read(sys, path, q)
			return err
		})
		if n == readsAgain || q.Lightly || !inTheMaking(held, err) {
			break
		}
		select {
		case <-ctx.Done():
			return held, ctx.Err()
		case <-time.After(readAgain):
		}
	}
	switch {
	case q.Lightly && errors.Is(err, fs.ErrNotExist): // its folder is gone, too
		return held, sdk.ErrNothingStored
	case err != nil:
		return held, fmt.Errorf("read %s: %w", path, err)
	}
	return held, nil
}

// A program that writes its file in place leaves it empty or cut off for a moment: before
// anything follows from that, for what is written or spent, the file is read again, so
// often and so far apart. One that has been so for longer is nobody's who writes now.
const (
	readsAgain = 3
	readAgain  = 200 * time.Millisecond
	beingMade  = time.Minute
)

// inTheMaking says whether somebody may be writing what could not be read as a whole.
func inTheMaking(held readback.Held, err error) bool {
	empty := errors.Is(err, sdk.ErrNothingStored) && !held.At.IsZero()
	return (empty || errors.Is(err, format.ErrUnreadable)) && time.Since(held.At) < beingMade
}

// inode is one file, whatever its name.
type inode struct{ dev, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{st.Dev, st.Ino}
	}
	return inode{}
}

// stands says whether the very file that was there at the last look is there, and
// has not changed: then it need not be asked anew who could have put it there,
// which takes many times as long, every half a minute.
func (s *Sink) stands(path string, q readback.Question) bool {
	if s.sys != nil {
		return false
	}
	info, err := os.Lstat(path)
	if err != nil || !untouched(info, q.Since) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked[q.Account] != inode{} && s.looked[q.Account] == inodeOf(info)
}

func (s *Sink) read(sys files.System, path string, q readback.Question) (held readback.Held, err error) {
	held.File = path
	info, err := sys.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return held, sdk.ErrNothingStored
	case err != nil:
		return held, err
	case !info.Mode().IsRegular():
		return held, noFile(info.Mode())
	}
	if held.At = info.ModTime(); info.Size() == 0 {
		return held, sdk.ErrNothingStored
	}
	s.mu.Lock()
	s.looked[q.Account] = inodeOf(info)
	s.mu.Unlock()
	if untouched(info, q.Since) {
		held.Untouched = true
		return held, nil
	}
	f, err := open(sys, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return held, sdk.ErrNothingStored
	case errors.Is(err, fs.ErrPermission):
		held.Hidden = true
		return held, nil
	case err != nil:
		return held, err
	}
	defer func() { _ = f.Close() }()
	// The time of what is read, even if the file has been replaced just now.
	if info, err = f.Stat(); err != nil {
		return held, err
	}
	held.At = info.ModTime()
	body, err := io.ReadAll(io.LimitReader(f, largest))
	switch {
	case err != nil:
		return held, err
	case strings.TrimSpace(string(body)) == "":
		return held, sdk.ErrNothingStored
	case s.cfg.Decode == nil:
		return held, nil
	}
	if held.Document, err = s.cfg.Decode(body); err != nil {
		held.Document, held.Rest = format.Salvage(body)
		return held, fmt.Errorf("%w: %w", format.ErrUnreadable, err)
	}
	return held, nil
}

// open never blocks on what is no file, and follows no link.
func open(sys files.System, path string) (files.File, error) {
	return sys.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// untouched goes by the time of the last change of any kind (st_ctim in
// stat(2)), which nobody can set: a copy that keeps its times has a new one.
func untouched(info fs.FileInfo, since time.Time) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && !since.IsZero() && !time.Unix(st.Ctim.Unix()).After(since)
}
