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
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
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
	// Ready: the slot is taken, and nothing was sent yet.
	Ready Progress = "ready"
	// Begun: handed to a provider that does not tell when it sends; whether it
	// has is not known.
	Begun Progress = "begun"
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
	sys  files.System
	dir  string
	lock files.File

	mu   sync.Mutex
	free []*Slot
	used map[string]*Slot // by attempt
	next int              // number of the next slot file
	// anchored: the directory and the slots' files are durably where they are.
	anchored bool
}

// Names of the files in the directory.
const (
	slotPrefix  = "slot-"
	slotName    = slotPrefix + "%03d"
	asidePrefix = "unread-"
)

// create makes the file of a new slot, whose name is not durable yet.
func (s *Spool) create() (path string, f files.File, err error) {
	path = filepath.Join(s.dir, fmt.Sprintf(slotName, s.next))
	s.next++ // also after a failure: what can't be removed must not be in the way
	f, err = createFile(s.sys, path)
	return path, f, err
}

// grow adds a free slot.
func (s *Spool) grow() error {
	path, f, err := s.create()
	if err != nil {
		return err
	}
	s.anchored = false
	s.free = append(s.free, &Slot{home: s, path: path, file: f})
	return nil
}

// anchor makes it durable that the slots' files are there, the directory, and
// the one above it, in which every provider has its own: an answer is worth
// nothing in a file that has no name. It is done before a slot is taken, also
// for what was found at the start, because whoever made it may have died before
// it came so far.
func (s *Spool) anchor() error {
	if s.anchored {
		return nil
	}
	dir := s.dir
	for range 3 {
		err := s.sys.SyncDir(dir)
		// A directory that we may not read is not of our making.
		if err != nil && !(dir != s.dir && errors.Is(err, fs.ErrPermission)) {
			return err
		}
		dir = filepath.Dir(dir)
	}
	s.anchored = true
	return nil
}

// Begin takes a slot for an attempt, which is then [Ready]. An attempt that already stands in the
// spool is known and gets its own slot back, with what it holds. Begin fails with
// [ErrUnsettled] while another attempt of the same account is not settled,
// and with the file system's error when no slot can be had: nothing was sent
// then, and nothing may be sent.
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
	slot, err = s.take(header{Header: h, Progress: Ready, BegunAt: time.Now().Round(0)})
	if err != nil {
		return nil, false, fmt.Errorf("no spool slot for attempt %s of account %s: %w", h.Attempt, h.Account, err)
	}
	s.used[h.Attempt] = slot
	return slot, false, nil
}

// take writes the header into a free slot. One that can't be written is
// discarded, so that it is in nobody's way, and the next one is tried.
func (s *Spool) take(h header) (*Slot, error) {
	if _, err := encodeHeader(h); err != nil {
		return nil, err
	}
	fresh := false
	for {
		if len(s.free) == 0 {
			if err := s.grow(); err != nil {
				return nil, err
			}
			fresh = true
		}
		if err := s.anchor(); err != nil {
			return nil, err
		}
		slot := s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
		err := slot.put(h)
		if err == nil {
			return slot, nil
		}
		slot.discard()
		if fresh {
			return nil, err
		}
	}
}

// fresh makes a file for an answer whose own file failed.
func (s *Spool) fresh() (string, files.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, f, err := s.create()
	if err != nil {
		return "", nil, err
	}
	if err := s.sys.SyncDir(s.dir); err != nil {
		return "", nil, errors.Join(err, f.Close(), s.sys.Remove(path))
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
// a damaged one, is put aside instead, in a file beside the slots named
// unread-ATTEMPT, for a person or a better plugin to read; the error is that
// this failed, and may be tried again. A slot that can't be freed blocks nobody:
// its file is removed, or else found, and settled, once more at the next start.
func (s *Spool) Settle(attempt string, keep bool) error {
	s.mu.Lock()
	slot, ok := s.used[attempt]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	if keep && slot.Progress() == Answered {
		if err := s.putAside(slot, attempt); err != nil {
			return fmt.Errorf("put the unread answer of attempt %s aside: %w", attempt, err)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[attempt] != slot {
		return nil // settled meanwhile
	}
	delete(s.used, attempt)
	if err := slot.clear(); err != nil {
		slot.discard()
		return nil
	}
	s.free = append(s.free, slot)
	return nil
}

// putAside keeps what the slot holds for a person.
func (s *Spool) putAside(slot *Slot, attempt string) error {
	if slot.Fault() != nil { // it is in memory alone
		if answer, ok := slot.Answer(); ok {
			if err := slot.Record(answer); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[attempt] != slot {
		return nil // settled meanwhile
	}
	if err := slot.putAside(filepath.Join(s.dir, asidePrefix+url.PathEscape(attempt))); err != nil {
		return err
	}
	delete(s.used, attempt)
	// Begin would do it, too, but a disk may be full by then.
	_ = s.grow()
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
