// Package spool keeps what a broker answered until the supervisor has made it
// durable. An answer to a refresh carries a refresh token that exists nowhere
// else while its predecessor is already dead, so its bytes reach the disk
// before anybody looks at them.
//
// A spool is a directory of preallocated slots, one per attempt in flight, and
// belongs to one provider process at a time. A second directory, on another
// disk, takes what the first one refuses. Making an answer durable takes
// one fdatasync and allocates nothing on disk; freeing a slot takes none,
// because an attempt that is settled twice is settled all the same.
package spool

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// ErrUnsettled: the account has another attempt in the spool that must be settled
// first; see [Spool.Begin].
var ErrUnsettled = errors.New("an earlier attempt of this account is not settled yet")

// Kinds of attempts.
const (
	KindRefresh  = "refresh"
	KindExchange = "exchange"
	KindRenew    = "renew"
	KindMint     = "mint"
	KindLogin    = "login"
)

// IsLogin says whether an attempt of that kind ends a login: it begins a grant, and
// spends nothing of the one before.
func IsLogin(kind string) bool { return kind == KindExchange || kind == KindLogin }

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
	// Kind is KindRefresh, KindExchange or another of the Kind… values.
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
	sys files.System

	mu sync.Mutex
	// places are the spool's directory and, if there is one, the fallback.
	places []*place
	used   map[string]*Slot // by attempt
}

// Names of the files in the directory.
const (
	slotPrefix  = "slot-"
	slotName    = slotPrefix + "%03d"
	asidePrefix = "unread-"
)

// Begin takes a slot for an attempt, which is then [Ready]. An attempt that already stands in the
// spool is known and gets its own slot back, with what it holds. Begin fails with
// [ErrUnsettled] while another attempt of the same account is not settled,
// and with the file system's error when no slot can be had: nothing was sent
// then, and nothing may be sent. One attempt may begin beside another, which is
// under way: the end of a login, whose code dies before that has ended.
func (s *Spool) Begin(h Header) (slot *Slot, known bool, err error) { return s.BeginIn("", h) }

// BeginIn is [Spool.Begin] for an attempt that was announced for the spool with
// that id. It fails with [ErrAnotherSpool] if this is another one, or has
// become one: then too nothing was sent, and nothing may be.
func (s *Spool) BeginIn(id string, h Header) (slot *Slot, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.used[h.Attempt]; ok {
		return slot, true, nil
	}
	for _, slot := range s.used {
		if e := slot.entry(); e.Account == h.Account && !beside(h.Kind, e.Kind) {
			return nil, false, fmt.Errorf("account %s, attempt %s: %w", h.Account, e.Attempt, ErrUnsettled)
		}
	}
	slot, err = s.take(id, header{Header: h, Progress: Ready, BegunAt: time.Now().Round(0)})
	if err != nil {
		return nil, false, fmt.Errorf("no spool slot for attempt %s of account %s: %w", h.Attempt, h.Account, err)
	}
	s.used[h.Attempt] = slot
	return slot, false, nil
}

// beside says whether an attempt may begin although one of that other kind is not
// settled.
func beside(kind, other string) bool { return IsLogin(kind) && !IsLogin(other) }

// take takes a slot in the first place that has one. That must be a place of
// the spool that the attempt was announced for: whoever holds the same spool
// later, and finds no slot, concludes that nothing was sent.
func (s *Spool) take(id string, h header) (*Slot, error) {
	if _, err := encodeHeader(h); err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range s.places {
		err := p.hold()
		if id != "" && id != s.id() {
			return nil, ErrAnotherSpool
		}
		if err == nil {
			var slot *Slot
			if slot, err = p.take(s, h); err == nil {
				return slot, nil
			}
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// fresh makes a file for an answer whose own file failed.
func (s *Spool) fresh() (*place, string, files.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.places {
		path, f, err := p.fresh()
		if err == nil {
			return p, path, f, nil
		}
		errs = append(errs, err)
	}
	return nil, "", nil, errors.Join(errs...)
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
	} else {
		p := slot.in()
		p.free = append(p.free, slot)
	}
	s.noteAll()
	return nil
}

// SettleSpare is [Spool.Settle] for an answer that nobody could read and that
// hardly holds a token, as a page does not: it is put aside only if nothing else
// of its account is, and so never takes the place of one that may.
func (s *Spool) SettleSpare(attempt string) error {
	s.mu.Lock()
	slot, ok := s.used[attempt]
	s.mu.Unlock()
	return s.Settle(attempt, ok && len(slot.in().aside(slot.entry().Account)) == 0)
}

// putAside keeps what the slot holds for a person.
func (s *Spool) putAside(slot *Slot, attempt string) error {
	if slot.inMemoryAlone() {
		answer, ok := slot.Answer()
		if !ok { // it was damaged, and is gone
			return s.Settle(attempt, false)
		}
		if err := slot.Record(answer); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[attempt] != slot {
		return nil // settled meanwhile
	}
	p := slot.in()
	aside := filepath.Join(p.dir, asidePrefix+url.PathEscape(attempt))
	if err := slot.putAside(aside); err != nil {
		return err
	}
	delete(s.used, attempt)
	p.thinOut(slot.entry().Account, aside)
	// Begin would do it, too, but a disk may be full by then.
	_ = p.grow(s)
	s.noteAll()
	return nil
}

// Close gives the directories back. What stands in the slots stays there.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.used {
		_ = slot.file.Close()
	}
	s.used = map[string]*Slot{}
	var errs []error
	for _, p := range s.places {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}
