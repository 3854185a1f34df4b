package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Open locks dir (created 0700 if missing), reads what stands in it and
// preallocates slots. It waits for a process that still holds the directory:
// one that lost its supervisor may be finishing an attempt. What stands in the
// spool can be read also when the disk is full or can't be written: only
// [Spool.Begin] fails then.
func Open(ctx context.Context, dir string, slots int) (*Spool, error) {
	return openOn(ctx, files.OS{}, dir, slots)
}

func openOn(ctx context.Context, sys files.System, dir string, slots int) (*Spool, error) {
	if err := files.MakeDir(sys, dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the spool directory: %w", err)
	}
	lock, err := lockDir(ctx, sys, dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{sys: sys, dir: dir, lock: lock, used: map[string]*Slot{}}
	if err := s.load(); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open the spool %s: %w", dir, err)
	}
	for len(s.free) < slots && err == nil {
		err = s.grow()
	}
	_ = s.anchor()
	return s, nil
}

// load reads the slots that are there. A slot that can't be read at all is an
// error: it may hold an answer, and the next try may read it.
func (s *Spool) load() error {
	entries, err := s.sys.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries { // in the order of their names
		name := entry.Name()
		if !strings.HasPrefix(name, slotPrefix) {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(name, slotName, &n); err == nil && n >= s.next {
			s.next = n + 1
		}
		path := filepath.Join(s.dir, name)
		slot, inUse, err := s.openSlot(path)
		switch {
		case errors.Is(err, errUnreadable):
			// It may hold an answer all the same: it is kept for a person.
			aside := fmt.Sprintf("%s%s-%d", asidePrefix, name, time.Now().UnixNano())
			_ = s.sys.Rename(path, filepath.Join(s.dir, aside))
		case errors.Is(err, errUnusable):
			// It holds nothing.
		case err != nil:
			return err
		case !inUse:
			s.free = append(s.free, slot)
		default:
			s.keep(slot)
		}
	}
	return nil
}

// keep takes in a slot that holds an attempt. A crash between the two steps of
// recordAfresh leaves a twin: the later file is the fresh one, but only an
// answer makes it the better one.
func (s *Spool) keep(slot *Slot) {
	if twin, ok := s.used[slot.header.Attempt]; ok {
		if slot.answer == nil {
			slot, twin = twin, slot
		}
		twin.discard()
	}
	s.used[slot.header.Attempt] = slot
}

// errUnreadable: the file is not blank, and whose it is can't be told.
// errUnusable: it is blank, and can't be brought to its size.
var (
	errUnreadable = errors.New("the spool slot is damaged")
	errUnusable   = errors.New("the spool slot can't be written")
)

func (s *Spool) openSlot(path string) (slot *Slot, inUse bool, err error) {
	f, err := s.sys.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, false, err
	}
	b, err := io.ReadAll(io.LimitReader(f, answerOffset+frameHead+maxPayload))
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	slot = &Slot{home: s, path: path, file: f}
	slot.header, slot.answer, inUse = decodeSlot(b)
	if slot.answer != nil {
		slot.header.Progress = Answered
	}
	if inUse {
		slot.length = int64(len(b))
		return slot, true, nil
	}
	if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
		return nil, false, errors.Join(errUnreadable, f.Close())
	}
	if len(b) < slotSize { // a crash cut its making short
		if err := preallocate(f); err != nil {
			return nil, false, errors.Join(errUnusable, err, f.Close())
		}
	}
	return slot, false, nil
}

// lockDir takes the directory's flock. The polling, instead of a blocking
// call, lets ctx end the wait.
func lockDir(ctx context.Context, sys files.System, dir string) (files.File, error) {
	f, err := sys.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spool's lock: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock the spool %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("another process holds the spool %s: %w", dir, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
