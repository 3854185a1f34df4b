package store

import (
	"context"
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
func (e *engine) Rename(ctx context.Context, from, to string, at Basis) error {
	return e.move(ctx, fmt.Sprintf("storing account %s as %s", from, to), []string{from, to}, func(c *change) error {
		return e.state.rename(c, from, to, at, e.now())
	})
}

// Forget implements [Store].
func (e *engine) Forget(ctx context.Context, name, attempt string, at Basis) error {
	return e.move(ctx, "forgetting account "+name, []string{name}, func(c *change) error {
		a := e.state.of(name)
		e.state.takeOut(c, name, e.now())
		switch {
		case len(c.values) == 0 && !e.noted(name):
			return ErrNotFound
		case !at.Is(a.record):
			return a.notAt(at, "the end", name)
		case attempt == "" && a.intent != nil, attempt != "" && (a.intent == nil || a.intent.Attempt != attempt):
			return fmt.Errorf("account %s: attempt %q does not stand, or another one does: %w", name, attempt, ErrConflict)
		}
		return nil
	})
}

// move is do for what takes a name out of the store. A version that is held in memory has
// to be stored before, because whoever holds it knows that name alone.
func (e *engine) move(ctx context.Context, what string, names []string, rule func(*change) error) error {
	return e.do(ctx, what, "an account", &write{subjects: names, drops: true, rule: func(c *change) error {
		for _, name := range names {
			if r := e.heldRecord(name); r.Version > 0 {
				return fmt.Errorf("version %d of account %s is held in memory, and not stored yet: %w", r.Version, name, ErrConflict)
			}
		}
		return rule(c)
	}})
}

// rename is the rule of [Store.Rename].
func (s *state) rename(c *change, from, to string, at Basis, now time.Time) error {
	a, b := s.of(from), s.of(to)
	foreign := s.foreignOf(from)
	switch {
	case a.record.Version == 0:
		return fmt.Errorf("account %s: %w", from, ErrNotFound)
	case !at.Is(a.record):
		return a.notAt(at, "the new name", from)
	case b.record.Version > 0:
		return fmt.Errorf("account %s has version %d of its own: %w", to, b.record.Version, ErrConflict)
	case b.intent != nil:
		return fmt.Errorf("attempt %s of account %s is not settled yet: %w", b.intent.Attempt, to, ErrConflict)
	case a.intent != nil && (!a.intent.IsMarked() || spool.IsLogin(a.intent.Kind)):
		return fmt.Errorf("attempt %s of account %s is not settled yet: %w", a.intent.Attempt, from, ErrConflict)
	case len(foreign) > 0:
		return fmt.Errorf("a newer program has stored %s, which can't be renamed by this one: %w", foreign[0], ErrConflict)
	}
	names, free := s.namesAs(from, to, now)
	s.takeOut(c, from, now)
	c.put(accountKey(to, partNames), names)
	if !free.Equal(s.passed[to]) {
		c.putPassed(to, free)
	}
	s.dropLines(c, to) // of a token that was another one
	a.record.Account = to
	c.putRecord(a.record)
	if b.refusal != nil {
		c.drop(accountKey(to, partRefusal))
	}
	if a.intent != nil {
		in := *a.intent
		in.Account = to
		c.put(intentKey(to), in)
	}
	if a.pause != nil && b.pause == nil { // whoever has paused it does not want its broker asked
		c.put(accountKey(to, partPause), a.pause.Dated())
	}
	if a.requests != nil {
		both := slices.Concat(a.requests, b.requests) // the broker counts them for the client
		slices.SortStableFunc(both, func(x, y Request) int { return x.At.Compare(y.At) })
		c.put(accountKey(to, partRequests), record.DatedRequests(both))
	}
	return nil
}

// formerName is a name that an account's login had before it was renamed.
type formerName struct {
	Name string    `json:"name"`
	Left time.Time `json:"left"`
	// Free is when the name was free of yet another login, before this one left it; zero:
	// never.
	Free time.Time `json:"free,omitzero"`
}

// namesAs are the former names of from's login, each once, as soon as it is called to; free
// is when that name was free of another login: as before this one left it, if nobody has
// had it since.
func (s *state) namesAs(from, to string, now time.Time) (names []formerName, free time.Time) {
	free = s.passed[to]
	for _, n := range s.of(from).names {
		switch {
		case n.Name != to:
			names = append(names, n)
		case n.Left.Equal(free):
			free = n.Free
		}
	}
	return append(names, formerName{Name: from, Left: instant(now), Free: s.passed[from]}), free
}

// instant is a moment as it is stored.
func instant(t time.Time) time.Time { return t.UTC().Round(0) }

// putPassed notes when a name was free of its login; zero: never.
func (c *change) putPassed(name string, at time.Time) {
	if at.IsZero() {
		c.drop(passedKey(name))
		return
	}
	c.put(passedKey(name), instant(at))
}

// takeOut takes out all that is stored of an account, what a newer program has stored
// of it included, and notes since when the name is free of a login.
func (s *state) takeOut(c *change, name string, now time.Time) {
	a := s.of(name)
	if a.record.Version > 0 {
		c.putPassed(name, now)
	}
	for _, p := range a.parts() {
		c.drop(accountKey(name, p.name))
	}
	for _, key := range s.foreignOf(name) {
		c.drop(key)
	}
	s.dropLines(c, name)
}

// dropLines takes out what the ledger says of an account.
func (s *state) dropLines(c *change, name string) {
	for sink, lines := range s.ledger {
		if _, ok := lines[name]; ok {
			c.drop(ledgerKey(sink, name))
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
