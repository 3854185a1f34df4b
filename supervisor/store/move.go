package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// This file holds what becomes of an account whose name goes: it goes on under another
// one, or is forgotten. Either is one transaction, so that whatever dies, a login is
// stored under one name.

// Rename implements [Store].
func (e *engine) Rename(ctx context.Context, from, to string, version uint64) error {
	return e.move(ctx, fmt.Sprintf("storing account %s as %s", from, to), []string{from, to}, func() (change, error) {
		return e.state.rename(from, to, version, e.now())
	})
}

// Forget implements [Store].
func (e *engine) Forget(ctx context.Context, name string) error {
	return e.move(ctx, "forgetting account "+name, []string{name}, func() (change, error) {
		c := e.state.without(name)
		if len(c) == 0 && !e.noted(name) {
			return nil, ErrNotFound
		}
		return c, e.state.pass(c, name, e.now())
	})
}

// move is do for what takes a name out of the store. A version that is held in memory has
// to be stored before, because whoever holds it knows that name alone.
func (e *engine) move(ctx context.Context, what string, names []string, rule func() (change, error)) error {
	return e.do(ctx, what, "an account", &write{subjects: names, drops: true, rule: func() (change, error) {
		for _, name := range names {
			if r, held := e.heldRecord(name); held {
				return nil, fmt.Errorf("version %d of account %s is held in memory, and not stored yet: %w", r.Version, name, ErrConflict)
			}
		}
		return rule()
	}})
}

// Passed implements [Store].
func (k *reads) Passed(ctx context.Context, name string) (time.Time, error) {
	if err := k.readable(ctx, "when the name of account "+name+" was free"); err != nil {
		return time.Time{}, err
	}
	k.state.mu.RLock()
	defer k.state.mu.RUnlock()
	return k.state.passed[name], nil
}

// pass notes that a name is free, if a login stands under it.
func (s *state) pass(c change, name string, now time.Time) error {
	if s.of(name).record.Version == 0 {
		return nil
	}
	return c.putJSON(passedKey(name), now.UTC().Round(0))
}

// rename is the rule of [Store.Rename].
func (s *state) rename(from, to string, version uint64, now time.Time) (change, error) {
	a, b := s.of(from), s.of(to)
	if a.record.Version == 0 {
		return nil, fmt.Errorf("account %s: %w", from, ErrNotFound)
	}
	if err := a.stillAt(version, "the new name", from); err != nil {
		return nil, err
	}
	switch {
	case b.record.Version > 0:
		return nil, fmt.Errorf("account %s has version %d of its own: %w", to, b.record.Version, ErrConflict)
	case b.intent != nil:
		return nil, fmt.Errorf("attempt %s of account %s is not settled yet: %w", b.intent.Attempt, to, ErrConflict)
	case a.intent != nil && (!a.intent.IsMarked() || spool.IsLogin(a.intent.Kind)):
		return nil, fmt.Errorf("attempt %s of account %s is not settled yet: %w", a.intent.Attempt, from, ErrConflict)
	}
	if foreign := s.foreignOf(from); len(foreign) > 0 {
		return nil, fmt.Errorf("a newer program has stored %s, which can't be renamed by this one: %w", foreign[0], ErrConflict)
	}
	c := s.without(from)
	s.dropLines(c, to) // of a token that was another one
	a.record.Account = to
	if err := errors.Join(c.putRecord(a.record), s.pass(c, from, now)); err != nil {
		return nil, err
	}
	if b.refusal != nil {
		c[accountKey(to, partRefusal)] = nil
	}
	if a.intent != nil {
		in := *a.intent
		in.Account = to
		if err := c.putJSON(intentKey(to), in); err != nil {
			return nil, err
		}
	}
	if a.pause != nil && b.pause == nil { // whoever has paused it does not want its broker asked
		if err := c.putJSON(accountKey(to, partPause), a.pause.Dated()); err != nil {
			return nil, err
		}
	}
	if a.requests == nil {
		return c, nil
	}
	both := slices.Concat(a.requests, b.requests) // the broker counts them for the client
	slices.SortStableFunc(both, func(x, y Request) int { return x.At.Compare(y.At) })
	return c, c.putJSON(accountKey(to, partRequests), record.DatedRequests(both))
}

// without is all that is stored of an account taken out, what a newer program has stored
// of it included.
func (s *state) without(name string) change {
	c := change{}
	a := s.of(name)
	for part, there := range map[string]bool{
		partRecord: a.record.Version > 0, partIntent: a.intent != nil, partLogin: a.login != nil,
		partRequests: a.requests != nil, partRefusal: a.refusal != nil, partPause: a.pause != nil,
	} {
		if there {
			c[accountKey(name, part)] = nil
		}
	}
	for _, key := range s.foreignOf(name) {
		c[key] = nil
	}
	s.dropLines(c, name)
	return c
}

// dropLines takes out what the ledger says of an account.
func (s *state) dropLines(c change, name string) {
	for sink, lines := range s.ledger {
		if _, ok := lines[name]; ok {
			c[ledgerKey(sink, name)] = nil
		}
	}
}

// foreignOf are the keys of what a newer program has stored of an account, in order.
func (s *state) foreignOf(name string) (keys []string) {
	for key := range s.foreign {
		if strings.HasPrefix(key, prefixAccounts+name+"/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
