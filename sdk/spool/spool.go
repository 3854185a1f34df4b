// Package spool keeps what a broker answered until the supervisor has made it
// durable. An answer to a refresh carries a refresh token that exists nowhere
// else while its predecessor is already dead, so its bytes reach the disk
// before anybody looks at them.
//
// A spool is a directory of preallocated slots, one per attempt in flight, and
// belongs to one provider process at a time. Making an answer durable takes
// one fdatasync and allocates nothing on disk; freeing a slot takes none,
// because an attempt that is settled twice is settled all the same.
package spool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnsettled: the account has another attempt in the spool, which must be
// settled first.
var ErrUnsettled = errors.New("an earlier attempt of this account is not settled yet")

// Kinds of attempts.
const (
	KindRefresh  = "refresh"
	KindExchange = "exchange"
)

// Progress is how far an attempt came.
type Progress string

const (
	// Begun: handed to the provider; whether it sent anything is not known.
	Begun Progress = "begun"
	// Ready: the sender has taken the slot and has sent nothing yet.
	Ready Progress = "ready"
	// Sent: the request may have reached the server.
	Sent Progress = "sent"
	// Answered: the answer is in the slot.
	Answered Progress = "answered"
)

// Header says whose attempt a slot holds.
type Header struct {
	Attempt string `json:"attempt"`
	Account string `json:"account"`
	// Kind is KindRefresh or KindExchange.
	Kind string `json:"kind"`
	// Version of the record that the attempt started from.
	Version uint64 `json:"version"`
	// Fingerprint of the refresh token that it spends.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Entry is a slot in use, as [Spool.Unsettled] lists it.
type Entry struct {
	Header
	Progress Progress
	BegunAt  time.Time
}

// Spool is safe for concurrent use.
type Spool struct {
	dir  string
	lock *os.File

	mu   sync.Mutex
	free []*Slot
	used map[string]*Slot // by attempt
	next int              // number of the next slot file
}

// Open locks dir (created 0700 if missing), reads what stands in it and
// preallocates slots. It waits for a process that still holds the directory:
// one that lost its supervisor may be finishing an attempt.
func Open(ctx context.Context, dir string, slots int) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the spool directory: %w", err)
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{dir: dir, lock: lock, used: map[string]*Slot{}}
	if err := s.load(slots); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open the spool %s: %w", dir, err)
	}
	return s, nil
}

func (s *Spool) load(slots int) error {
	names, err := filepath.Glob(filepath.Join(s.dir, "slot-*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(name), "slot-%d", &n); err == nil && n >= s.next {
			s.next = n + 1
		}
		slot, inUse, err := openSlot(name, s.fresh)
		if errors.Is(err, errUnreadable) {
			// It may hold an answer all the same: it is kept for a person.
			aside := fmt.Sprintf("unread-%s-%d", filepath.Base(name), time.Now().Unix())
			if err := os.Rename(name, filepath.Join(s.dir, aside)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !inUse {
			s.free = append(s.free, slot)
			continue
		}
		if twin, ok := s.used[slot.header.Attempt]; ok {
			// A crash between the two steps of recordAfresh. The later file
			// is the fresh one, but only an answer makes it the better one.
			if slot.answer == nil {
				slot, twin = twin, slot
			}
			if err := twin.remove(); err != nil {
				return err
			}
		}
		s.used[slot.header.Attempt] = slot
	}
	for len(s.free) < slots {
		if err := s.grow(); err != nil {
			return err
		}
	}
	return nil
}

// grow adds a free slot on disk.
func (s *Spool) grow() error {
	slot, err := createSlot(filepath.Join(s.dir, fmt.Sprintf("slot-%03d", s.next)), s.fresh)
	if err != nil {
		return err
	}
	s.next++
	s.free = append(s.free, slot)
	return syncDir(s.dir)
}

// Begin takes a slot for an attempt. An attempt that already stands in the
// spool is known and gets its own slot back, with what it holds. Begin fails with
// [ErrUnsettled] while another attempt of the same account is not settled,
// and with the file system's error when no slot can be had: nothing was sent
// then.
func (s *Spool) Begin(h Header) (slot *Slot, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.used[h.Attempt]; ok {
		return slot, true, nil
	}
	for _, slot := range s.used {
		if e := slot.entry(); e.Account == h.Account {
			return nil, false, fmt.Errorf("account %s, attempt %s: %w", h.Account, e.Attempt, ErrUnsettled)
		}
	}
	if len(s.free) == 0 {
		if err := s.grow(); err != nil {
			return nil, false, fmt.Errorf("no free spool slot: %w", err)
		}
	}
	slot = s.free[len(s.free)-1]
	if err := slot.begin(h); err != nil {
		return nil, false, fmt.Errorf("write the spool slot: %w", err)
	}
	s.free = s.free[:len(s.free)-1]
	s.used[h.Attempt] = slot
	return slot, false, nil
}

// fresh implements freshFile for the slots.
func (s *Spool) fresh() (string, *os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, fmt.Sprintf("slot-%03d", s.next))
	f, err := createFile(path)
	if err != nil {
		return "", nil, err
	}
	s.next++
	if err := syncDir(s.dir); err != nil {
		return "", nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return path, f, nil
}

// Unsettled lists the slots in use, oldest first.
func (s *Spool) Unsettled() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make([]Entry, 0, len(s.used))
	for _, slot := range s.used {
		entries = append(entries, slot.entry())
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.BegunAt.Compare(b.BegunAt) })
	return entries
}

// Settle frees the slot of an attempt and overwrites what it held. An attempt
// that is not there is settled already. With keep, an answer in the slot, even
// a damaged one, is put aside instead, in a file beside the slots named unread-ATTEMPT, for a
// person or a better plugin to read.
func (s *Spool) Settle(attempt string, keep bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.used[attempt]
	if !ok {
		return nil
	}
	if keep && slot.Progress() == Answered {
		if err := slot.putAside(filepath.Join(s.dir, "unread-"+url.PathEscape(attempt))); err != nil {
			return fmt.Errorf("put the unread answer of attempt %s aside: %w", attempt, err)
		}
		delete(s.used, attempt)
		return s.grow()
	}
	if err := slot.clear(); err != nil {
		// A file that can't be written goes, so that it blocks neither this
		// account now nor the next start.
		if removeErr := slot.remove(); removeErr != nil {
			return fmt.Errorf("free the spool slot of attempt %s: %w", attempt, errors.Join(err, removeErr))
		}
		delete(s.used, attempt)
		return nil
	}
	delete(s.used, attempt)
	s.free = append(s.free, slot)
	return nil
}

// Close gives the directory back. What stands in the slots stays there.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.free {
		_ = slot.file.Close()
	}
	for _, slot := range s.used {
		_ = slot.file.Close()
	}
	s.free, s.used = nil, map[string]*Slot{}
	return s.lock.Close()
}

// lockDir takes the directory's flock. The polling, instead of a blocking
// call, lets ctx end the wait.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
