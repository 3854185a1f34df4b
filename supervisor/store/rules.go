package store

import (
	"encoding/json"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// This file holds the rules: each says what a call would change in the state, or why
// it must not. None changes anything itself.

// intend is the rule of [Store.Intend]. The same attempt may be announced
// again: a caller that reopened the store can't know whether it was.
func (s *state) intend(in Intent) (change, error) {
	a := s.of(in.Account)
	if a.record.Version != in.Version {
		return nil, fmt.Errorf("attempt %s of account %s starts from version %d, but version %d is stored: %w",
			in.Attempt, in.Account, in.Version, a.record.Version, ErrConflict)
	}
	if a.intent != nil && a.intent.Attempt != in.Attempt {
		return nil, fmt.Errorf("attempt %s of account %s: attempt %s is not settled yet: %w",
			in.Attempt, in.Account, a.intent.Attempt, ErrConflict)
	}
	return a.announce(in)
}

// replace is the rule of [Store.Replace].
func (s *state) replace(attempt string, in Intent) (change, error) {
	a := s.of(in.Account)
	if a.intent == nil || a.intent.Attempt != attempt {
		return nil, fmt.Errorf("attempt %s of account %s can't take the place of %s, which does not stand: %w",
			in.Attempt, in.Account, attempt, ErrConflict)
	}
	if in.Attempt == attempt { // it was announced before
		in.Requests = nil
	}
	return a.announce(in)
}

// announce puts an intent, and the requests of which it is one. The login whose code
// it spends is over with it: a code is spent once. A guided one is over with its
// token, or by a word.
func (a account) announce(in Intent) (change, error) {
	c := change{}
	if err := c.putJSON(intentKey(in.Account), in); err != nil {
		return nil, err
	}
	if in.Requests != nil {
		if err := c.putJSON(accountKey(in.Account, partRequests), record.DatedRequests(in.Requests)); err != nil {
			return nil, err
		}
	}
	if in.Kind != spool.KindLogin {
		a.dropLogin(c, in.Account, in.Login)
	}
	return c, nil
}

// commit is the rule of [Store.Commit].
func (s *state) commit(rec Record) (change, error) {
	a := s.of(rec.Account)
	if a.intent != nil && rec.Version == a.record.Version+1 && a.intent.Attempt != rec.Attempt {
		return nil, fmt.Errorf("version %d of account %s is not of attempt %s, which is not settled yet: %w",
			rec.Version, rec.Account, a.intent.Attempt, ErrConflict)
	}
	if err := a.admits(rec); err != nil {
		return nil, err
	}
	c := change{}
	if err := c.putRecord(rec); err != nil {
		return nil, err
	}
	if left := a.intent.LeftBy(rec); left != nil {
		err := c.putJSON(intentKey(rec.Account), left)
		if err != nil {
			return nil, err
		}
	} else if a.intent != nil {
		c[intentKey(rec.Account)] = nil
	}
	if a.intent != nil {
		a.endGuided(c)
	}
	if a.refusal != nil {
		c[accountKey(rec.Account, partRefusal)] = nil
	}
	return c, nil
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
func (s *state) abandon(name, attempt string, version uint64, h Health) (change, error) {
	a := s.of(name)
	if err := a.stillAt(version, "the end of attempt "+attempt, name); err != nil {
		return nil, err
	}
	if a.intent != nil && a.intent.Attempt != attempt {
		return nil, fmt.Errorf("attempt %s of account %s is over, but attempt %s stands: %w", attempt, name, a.intent.Attempt, ErrConflict)
	}
	c, err := change{}, error(nil)
	switch {
	case a.record.Version > 0:
		a.record.Health = h
		err = c.putRecord(a.record)
	case h.KeyRefused != "":
		err = c.putJSON(accountKey(name, partRefusal), h.Dated())
	case a.refusal != nil:
		c[accountKey(name, partRefusal)] = nil
	}
	if err == nil {
		err = a.endIntent(c, name, attempt)
	}
	return c, err
}

// stillAt says why what rests on a version can't be stored: another one stands.
func (a account) stillAt(version uint64, what, name string) error {
	if a.record.Version != version {
		return fmt.Errorf("%s of account %s rests on version %d, but version %d is stored: %w", what, name, version, a.record.Version, ErrConflict)
	}
	return nil
}

// endIntent ends the intent of an attempt, if that is the one that stands. The one
// before it stands again.
func (a account) endIntent(c change, name, attempt string) error {
	switch {
	case a.intent == nil || a.intent.Attempt != attempt:
	case a.intent.Before != nil:
		return c.putJSON(intentKey(name), a.intent.Before)
	default:
		c[intentKey(name)] = nil
	}
	return nil
}

// setAside is the rule of [Store.SetAside].
func (s *state) setAside(name string, ev Evidence) (change, error) {
	a := s.of(name)
	if a.record.Version == 0 {
		return nil, fmt.Errorf("the evidence of attempt %s can't be kept beside the record of account %s: %w", ev.Attempt, name, ErrNotFound)
	}
	c := change{}
	if err := c.putRecord(a.record.WithEvidence(ev)); err != nil {
		return nil, err
	}
	return c, a.endIntent(c, name, ev.Attempt)
}

// putBeside is the rule of [Store.PutBeside].
func (s *state) putBeside(name, attempt string, version uint64, candidate *Candidate) (change, error) {
	a := s.of(name)
	if a.record.Version == 0 {
		return nil, fmt.Errorf("account %s: %w", name, ErrNotFound)
	}
	if err := a.stillAt(version, "what waits beside it", name); err != nil {
		return nil, err
	}
	a.record.Candidate = candidate
	c := change{}
	if err := c.putRecord(a.record); err != nil {
		return nil, err
	}
	if a.intent != nil && a.intent.Attempt == attempt {
		a.endGuided(c)
	}
	return c, a.endIntent(c, name, attempt)
}

// putLogin is the rule of [Store.PutLogin].
func (s *state) putLogin(l Login) (change, error) {
	if open := s.of(l.Account).login; open != nil && open.State != l.State && l.At.Before(open.Until) {
		return nil, fmt.Errorf("account %s: a login was begun before, and is open: %w", l.Account, ErrConflict)
	}
	b, err := record.EncodeLogin(l)
	return change{accountKey(l.Account, partLogin): b}, err
}

// dropLogin ends a login, if it is the one that is open.
func (a account) dropLogin(c change, name, state string) {
	if a.login != nil && a.login.State == state {
		c[accountKey(name, partLogin)] = nil
	}
}

// endGuided ends the login that an attempt has ended which brought a token.
func (a account) endGuided(c change) {
	if a.intent.Kind == spool.KindLogin {
		a.dropLogin(c, a.intent.Account, a.intent.Login)
	}
}

// dropAlert is the rule of [Store.DropAlert].
func (s *state) dropAlert(key string) (change, error) {
	c := change{}
	if _, ok := s.alerts[key]; ok {
		c[alertKey(key)] = nil
	}
	for sink, lines := range s.ledger {
		if _, ok := lines[key]; ok {
			c[ledgerKey(sink, key)] = nil
		}
	}
	return c, nil
}

// deliver is what the ledger says once noted is added to it.
func (s *state) deliver(noted map[string]Delivery) change {
	c := change{}
	for key, d := range noted {
		if old, ok := s.ledger[d.Sink][d.Account]; ok {
			d = old.Then(d)
		}
		_ = c.putJSON(key, d) // plain values: it can't fail
	}
	return c
}

func (c change) putRecord(r Record) error {
	b, err := record.Encode(r)
	c[recordKey(r.Account)] = b
	return err
}

func (c change) putJSON(key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s can't be stored: %w", key, err)
	}
	c[key] = b
	return nil
}
