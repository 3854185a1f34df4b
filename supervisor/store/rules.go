package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// This file holds the rules: each says what a call would change in the state, or why
// it must not. None changes anything itself.

// change is what one transaction does. An error of its own sticks: a rule goes on after
// it, and nothing of the change is stored.
type change struct {
	values map[string][]byte // by key; nil deletes
	err    error
}

func newChange() *change { return &change{values: map[string][]byte{}} }

// put stores a value: a record and a login as they are laid out, as JSON would hide their
// secrets, and all else as JSON.
func (c *change) put(key string, v any) {
	var b []byte
	var err error
	switch v := v.(type) {
	case Record:
		b, err = record.Encode(v)
	case *Record:
		b, err = record.Encode(*v)
	case Login:
		b, err = record.EncodeLogin(v)
	case *Login:
		b, err = record.EncodeLogin(*v)
	default:
		if b, err = json.Marshal(v); err != nil {
			err = fmt.Errorf("%s can't be stored: %w", key, err)
		}
	}
	c.values[key], c.err = b, errors.Join(c.err, err)
}

func (c *change) putRecord(r Record) { c.put(recordKey(r.Account), r) }

// check says why the change can't be stored: what can't be read back would cost the whole
// file at the next start.
func (c *change) check() error { return errors.Join(c.err, newState().Apply(c.values)) }

func (c *change) drop(key string) { c.values[key] = nil }

// intend is the rule of [Store.Intend]. The same attempt may be announced
// again: a caller that reopened the store can't know whether it was.
func (s *state) intend(c *change, in Intent) error {
	a := s.of(in.Account)
	switch {
	case !in.Basis().Is(a.record):
		return a.notAt(in.Basis(), "attempt "+in.Attempt, in.Account)
	case a.intent != nil && a.intent.Attempt != in.Attempt:
		return fmt.Errorf("attempt %s of account %s: attempt %s is not settled yet: %w",
			in.Attempt, in.Account, a.intent.Attempt, ErrConflict)
	}
	a.announce(c, in)
	return nil
}

// replace is the rule of [Store.Replace].
func (s *state) replace(c *change, attempt string, in Intent) error {
	a := s.of(in.Account)
	if a.intent == nil || a.intent.Attempt != attempt {
		return fmt.Errorf("attempt %s of account %s can't take the place of %s, which does not stand: %w",
			in.Attempt, in.Account, attempt, ErrConflict)
	}
	if in.Basis() != a.intent.Basis() && !in.Basis().Is(a.record) {
		return a.notAt(in.Basis(), "attempt "+in.Attempt, in.Account)
	}
	if in.Attempt == attempt { // it was announced before
		in.Requests = nil
	}
	a.announce(c, in)
	return nil
}

// announce puts an intent, and the requests of which it is one. The login whose code
// it spends is over with it: a code is spent once. A guided one is over with its
// token, or by a word.
func (a account) announce(c *change, in Intent) {
	c.put(intentKey(in.Account), in)
	if in.Requests != nil {
		c.put(accountKey(in.Account, partRequests), record.DatedRequests(in.Requests))
	}
	if in.Kind != spool.KindLogin {
		a.dropLogin(c, in.Account, in.Login)
	}
}

// commit is the rule of [Store.Commit].
func (s *state) commit(c *change, rec Record) error {
	a := s.of(rec.Account)
	if a.intent != nil && rec.Version == a.record.Version+1 && a.intent.Attempt != rec.Attempt {
		return fmt.Errorf("version %d of account %s is not of attempt %s, which is not settled yet: %w",
			rec.Version, rec.Account, a.intent.Attempt, ErrConflict)
	}
	if err := a.admits(rec); err != nil {
		return err
	}
	c.putRecord(rec)
	if left := a.intent.LeftBy(rec); left != nil {
		c.put(intentKey(rec.Account), left)
	} else if a.intent != nil {
		c.drop(intentKey(rec.Account))
	}
	a.endGuided(c)
	if a.refusal != nil {
		c.drop(accountKey(rec.Account, partRefusal))
	}
	return nil
}

// admits says why rec can't be the account's next version.
func (a account) admits(rec Record) error {
	if rec.Version != a.record.Version+1 {
		return fmt.Errorf("version %d of account %s can't follow version %d: %w", rec.Version, rec.Account, a.record.Version, ErrConflict)
	}
	if rec.Token.RefreshToken.IsZero() && !a.record.Token.RefreshToken.IsZero() {
		return fmt.Errorf("version %d of account %s has no refresh token, and version %d has one: refused, because the login would be lost",
			rec.Version, rec.Account, a.record.Version)
	}
	if !rec.Follows(a.record) {
		return fmt.Errorf("version %d of account %s, of grant %d and obtained with refresh token %q, can't follow one of grant %d: %w",
			rec.Version, rec.Account, rec.Grant, rec.Parent, a.record.Grant, ErrLineage)
	}
	return nil
}

// abandon is the rule of [Store.Abandon].
func (s *state) abandon(c *change, name, attempt string, at Basis, h Health) error {
	a := s.of(name)
	switch {
	case !at.Is(a.record):
		return a.notAt(at, "the end of attempt "+attempt, name)
	case a.intent != nil && a.intent.Attempt != attempt:
		return fmt.Errorf("attempt %s of account %s is over, but attempt %s stands: %w", attempt, name, a.intent.Attempt, ErrConflict)
	}
	switch {
	case a.record.Version > 0:
		a.record.Health = h
		c.putRecord(a.record)
	case h.KeyRefused != "":
		c.put(accountKey(name, partRefusal), h.Dated())
	case a.refusal != nil:
		c.drop(accountKey(name, partRefusal))
	}
	a.endIntent(c, name, attempt)
	return nil
}

// notAt is why what rests on a version can't be stored: another one stands.
func (a account) notAt(at Basis, what, name string) error {
	return fmt.Errorf("%s of account %s rests on version %d of grant %d, but version %d of grant %d is stored: %w",
		what, name, at.Version, at.Grant, a.record.Version, a.record.Grant, ErrConflict)
}

// endIntent ends the intent of an attempt, if that is the one that stands. The one
// before it stands again.
func (a account) endIntent(c *change, name, attempt string) {
	switch {
	case a.intent == nil || a.intent.Attempt != attempt:
	case a.intent.Before != nil:
		c.put(intentKey(name), a.intent.Before)
	default:
		c.drop(intentKey(name))
	}
}

// setAside is the rule of [Store.SetAside].
func (s *state) setAside(c *change, name string, ev Evidence) error {
	a := s.of(name)
	if a.record.Version == 0 {
		return fmt.Errorf("the evidence of attempt %s can't be kept beside the record of account %s: %w", ev.Attempt, name, ErrNotFound)
	}
	c.putRecord(a.record.WithEvidence(ev))
	a.endIntent(c, name, ev.Attempt)
	return nil
}

// putBeside is the rule of [Store.PutBeside].
func (s *state) putBeside(c *change, name, attempt string, at Basis, candidate *Candidate) error {
	a := s.of(name)
	switch {
	case a.record.Version == 0:
		return fmt.Errorf("account %s: %w", name, ErrNotFound)
	case !at.Is(a.record):
		return a.notAt(at, "what waits beside it", name)
	}
	a.record.Candidate = candidate
	c.putRecord(a.record)
	if a.intent != nil && a.intent.Attempt == attempt {
		a.endGuided(c)
	}
	a.endIntent(c, name, attempt)
	return nil
}

// putLogin is the rule of [Store.PutLogin].
func (s *state) putLogin(c *change, l Login) error {
	if open := s.of(l.Account).login; open != nil && open.State != l.State && l.At.Before(open.Until) {
		return fmt.Errorf("account %s: a login was begun before, and is open: %w", l.Account, ErrConflict)
	}
	c.put(accountKey(l.Account, partLogin), l)
	return nil
}

// dropLogin ends a login, if it is the one that is open.
func (a account) dropLogin(c *change, name, state string) {
	if a.login != nil && a.login.State == state {
		c.drop(accountKey(name, partLogin))
	}
}

// endGuided ends the login that the attempt which stands has ended by bringing a token.
func (a account) endGuided(c *change) {
	if a.intent != nil && a.intent.Kind == spool.KindLogin {
		a.dropLogin(c, a.intent.Account, a.intent.Login)
	}
}

// putPause is the rule of [Store.PutPause].
func (s *state) putPause(c *change, name string, was, p *Pause) error {
	stands := s.of(name).pause
	switch {
	case stands.Same(p): // as it is said to be
	case !stands.Same(was):
		return fmt.Errorf("account %s: it was paused, or resumed, by somebody else: %w", name, ErrConflict)
	case p == nil:
		c.drop(accountKey(name, partPause))
	default:
		c.put(accountKey(name, partPause), p.Dated())
	}
	return nil
}

// dropAlert is the rule of [Store.DropAlert].
func (s *state) dropAlert(c *change, key string, version uint64) error {
	if a, ok := s.alerts[key]; ok && a.Version != version {
		return fmt.Errorf("alert %s is at version %d, and not at %d: %w", key, a.Version, version, ErrConflict)
	} else if ok {
		c.drop(alertKey(key))
	}
	s.dropLines(c, key)
	return nil
}

// deliver is what the ledger says once noted is added to it.
func (s *state) deliver(c *change, noted map[string]Delivery) {
	for key, d := range noted {
		c.put(key, s.ledger[d.Sink][d.Account].Then(d))
	}
}
