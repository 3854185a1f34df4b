package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	return openOn(ctx, files.OS{}, slots, dir)
}

// OpenWithFallback is [Open] with a second directory, on another disk, which is
// made when it is needed. It takes the attempts and the answers that dir
// refuses. What stands in it is read at the next start, too, and so it must be
// named then.
func OpenWithFallback(ctx context.Context, dir, fallback string, slots int) (*Spool, error) {
	return openOn(ctx, files.OS{}, slots, dir, fallback)
}

// How many directories above its own are the program's: DIR/spool/PROVIDER, and
// FALLBACK/NAME/spool/PROVIDER.
const (
	aboveSpool    = 2
	aboveFallback = 3
)

func openOn(ctx context.Context, sys files.System, slots int, dir string, fallback ...string) (*Spool, error) {
	s := &Spool{sys: sys, used: map[string]*Slot{}, places: []*place{{sys: sys, dir: dir, above: aboveSpool}}}
	for _, dir := range fallback {
		s.places = append(s.places, &place{sys: sys, dir: dir, above: aboveFallback})
	}
	if err := s.claim(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	for n, p := range s.places {
		err := s.load(p)
		switch {
		case err == nil || errors.Is(err, fs.ErrNotExist):
		case n == 0:
			_ = s.Close()
			return nil, fmt.Errorf("open the spool %s: %w", p.dir, err)
		default: // a dead fallback must not stop what works
			_ = p.close()
		}
	}
	s.reserve(slots)
	s.noteAll()
	return s, nil
}

// claim locks what is there, so that nobody changes it meanwhile. It is enough
// to have one place: a directory that can only be read is nobody's to change.
func (s *Spool) claim(ctx context.Context) error {
	err := s.places[0].claim(ctx)
	if ctx.Err() != nil {
		return err
	}
	for _, p := range s.places[1:] {
		if _, statErr := s.sys.Stat(p.dir); err == nil && statErr != nil {
			continue // not there, and not needed yet
		}
		fallbackErr := p.claim(ctx)
		if ctx.Err() != nil {
			return fallbackErr
		}
		if err != nil {
			err = errors.Join(err, fallbackErr)
		}
		if p.lock != nil {
			return nil
		}
	}
	return err
}

// reserve brings the first place that can be written to its number of slots.
func (s *Spool) reserve(slots int) {
	for _, p := range s.places {
		var err error
		for len(p.free) < slots && err == nil {
			err = p.grow(s)
		}
		p.noteOrShed()
		_ = p.anchor()
		if err == nil {
			return
		}
	}
}

// load reads the slots that are there. A slot that can't be read at all is an
// error: it may hold an answer, and the next try may read it. One that is gone
// since it was listed hides none of the others. What that held, or one that is damaged,
// is not known any more, and so this is not the spool any more that its attempt was
// announced for.
func (s *Spool) load(p *place) error {
	entries, err := s.sys.ReadDir(p.dir)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), slotPrefix) })
	if p.lacks(entries) || len(entries) == 0 && p == s.places[0] {
		p.rename() // somebody has removed one, or them all, or none was made yet
	}
	for _, entry := range entries { // in the order of their names
		name := entry.Name()
		var n int
		if _, err := fmt.Sscanf(name, slotName, &n); err == nil && n >= p.next {
			p.next = n + 1
		}
		path := filepath.Join(p.dir, name)
		p.index.add(path)
		slot, inUse, err := s.openSlot(p, path)
		switch {
		case errors.Is(err, errUnreadable):
			// It may hold an answer all the same: it is kept for a person. Which attempt it
			// was of nobody knows, and that has to be durable before it is out of sight.
			p.rename()
			p.index.drop(path)
			p.putDamagedAside(path)
		case errors.Is(err, errUnusable):
			// It holds nothing.
		case errors.Is(err, fs.ErrNotExist):
			p.rename()
			p.index.drop(path)
		case err != nil:
			return err
		case !inUse:
			p.free = append(p.free, slot)
		default:
			s.keep(slot)
		}
	}
	p.index.stale = !maps.Equal(p.index.names, p.index.kept)
	return nil
}

// keep takes in a slot that holds an attempt. A crash between the two steps of
// recordAfresh, or a disk that lets nothing be removed, leaves a twin: the later file is the fresh one, but only an
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

func (s *Spool) openSlot(p *place, path string) (slot *Slot, inUse bool, err error) {
	f, err := s.sys.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0o600)
	readOnly := err != nil
	if readOnly { // what it holds can be read all the same, and is settled once more later
		f, err = s.sys.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, false, err
	}
	b, err := io.ReadAll(io.LimitReader(f, answerOffset+frameHead+maxPayload))
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	slot = &Slot{home: s, place: p, path: path, file: f, broken: readOnly}
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
	if readOnly {
		return nil, false, errors.Join(errUnusable, f.Close())
	}
	if len(b) < slotSize { // a crash cut its making short
		if err := preallocate(f); err != nil {
			return nil, false, errors.Join(errUnusable, err, f.Close())
		}
	}
	return slot, false, nil
}

// lockName is the file in a place that its owner has locked.
const lockName = "lock"

// lockDir takes the directory's flock. The polling, instead of a blocking
// call, lets ctx end the wait.
func lockDir(ctx context.Context, sys files.System, dir string) (files.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := sys.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil { // flock(2) is content to read
		if r, readErr := sys.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0); readErr == nil {
			f, err = r, nil
		}
	}
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
