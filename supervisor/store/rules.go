package store

import (
	"encoding/json"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// change is what one transaction does to one key; a nil value deletes it.
type change map[string][]byte

// draft is the state that one write starts from, with what it and the writes
// before it in the same transaction have changed. A rule checks first and
// changes last, so that one which refuses has changed nothing.
type draft struct {
	reader
	changed change
	// dropped are the alerts of which the ledger is to say nothing any more.
	dropped map[string]bool
}

func (d draft) get(key string) []byte {
	if v, ok := d.changed[key]; ok {
		return v
	}
	return d.reader.get(key)
}

func (d draft) scan(prefix string, fn func(string, []byte)) {
	durable{d.reader, d.changed}.scan(prefix, fn)
}

func (d draft) put(key string, value []byte) { d.changed[key] = value }

func (d draft) delete(key string) {
	if d.get(key) != nil {
		d.changed[key] = nil
	}
}

// record returns the account's record; one of version 0 if there is none.
func (d draft) record(account string) (Record, error) {
	b := d.get(recordKey(account))
	if b == nil {
		return Record{Account: account}, nil
	}
	return open(account, b)
}

func (d draft) intent(account string) (in Intent, ok bool, err error) {
	return readIntent(account, d.get(intentKey(account)))
}

func readIntent(account string, b []byte) (in Intent, ok bool, err error) {
	if b == nil {
		return Intent{}, false, nil
	}
	if err := json.Unmarshal(b, &in); err != nil || in.Account != account || in.Attempt == "" {
		return Intent{}, false, fmt.Errorf("%w: the intent of account %s is unreadable; keep the file, and restore a backup", ErrDamaged, account)
	}
	return in, true, nil
}

func (d draft) putIntent(in Intent) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("the intent of account %s can't be stored: %w", in.Account, err)
	}
	d.put(intentKey(in.Account), sign(b))
	return nil
}

// intend is the rule of [Store.Intend]. The same attempt may be announced
// again: a caller that reopened the store can't know whether it was.
func (d draft) intend(in Intent) error {
	r, err := d.record(in.Account)
	if err != nil {
		return err
	}
	if r.Version != in.Version {
		return fmt.Errorf("attempt %s of account %s starts from version %d, but version %d is stored: %w",
			in.Attempt, in.Account, in.Version, r.Version, ErrConflict)
	}
	standing, ok, err := d.intent(in.Account)
	if err != nil {
		return err
	}
	if ok && standing.Attempt != in.Attempt {
		return fmt.Errorf("attempt %s of account %s: attempt %s is not settled yet: %w",
			in.Attempt, in.Account, standing.Attempt, ErrConflict)
	}
	return d.announce(in)
}

// replace is the rule of [Store.Replace].
func (d draft) replace(attempt string, in Intent) error {
	standing, ok, err := d.intent(in.Account)
	if err != nil {
		return err
	}
	if !ok || standing.Attempt != attempt {
		return fmt.Errorf("attempt %s of account %s can't take the place of %s, which does not stand: %w",
			in.Attempt, in.Account, attempt, ErrConflict)
	}
	if in.Attempt == attempt { // it was announced before
		in.Requests = nil
	}
	return d.announce(in)
}

// announce puts an intent, and the requests of which it is one. The login whose code
// it spends is over with it: a code is spent once. A guided one is over with its
// token, or by a word.
func (d draft) announce(in Intent) error {
	if err := d.putIntent(in); err != nil {
		return err
	}
	if in.Requests != nil {
		if err := d.putRequests(in.Account, in.Requests); err != nil {
			return err
		}
	}
	if in.Kind != spool.KindLogin {
		d.dropLogin(in.Account, in.Login)
	}
	return nil
}

// commit is the rule of [Store.Commit].
func (d draft) commit(rec Record) error {
	r, err := d.record(rec.Account)
	if err != nil {
		return err
	}
	if rec.Version != r.Version+1 {
		return fmt.Errorf("version %d of account %s can't follow version %d: %w", rec.Version, rec.Account, r.Version, ErrConflict)
	}
	standing, ok, err := d.intent(rec.Account)
	if err != nil {
		return err
	}
	if ok && standing.Attempt != rec.Attempt {
		return fmt.Errorf("version %d of account %s is not of attempt %s, which is not settled yet: %w",
			rec.Version, rec.Account, standing.Attempt, ErrConflict)
	}
	if rec.Token.RefreshToken.IsZero() && !r.Token.RefreshToken.IsZero() {
		return errNoRefreshToken(rec, r)
	}
	if err := rec.follows(r); err != nil {
		return err
	}
	b, err := seal(rec)
	if err != nil {
		return err
	}
	d.put(recordKey(rec.Account), b)
	d.delete(intentKey(rec.Account))
	d.delete(refusalKey(rec.Account))
	d.endGuided(standing)
	return nil
}

func errNoRefreshToken(rec, stored Record) error {
	return fmt.Errorf("version %d of account %s has no refresh token, and version %d has one: refused, because the login would be lost",
		rec.Version, rec.Account, stored.Version)
}

// abandon is the rule of [Store.Abandon].
func (d draft) abandon(account, attempt string, h Health) error {
	standing, ok, err := d.intent(account)
	if err != nil {
		return err
	}
	if ok && standing.Attempt != attempt {
		return fmt.Errorf("attempt %s of account %s is over, but attempt %s stands: %w", attempt, account, standing.Attempt, ErrConflict)
	}
	r, err := d.record(account)
	if err != nil {
		return err
	}
	if r.Version > 0 {
		r.Health = h
		b, err := seal(r)
		if err != nil {
			return err
		}
		d.put(recordKey(account), b)
	} else if err := d.putRefusal(account, h); err != nil {
		return err
	}
	if standing.Before != nil {
		return d.putIntent(*standing.Before)
	}
	d.delete(intentKey(account))
	return nil
}

// checkIntent refuses an intent that could not be found again.
func checkIntent(in Intent) error {
	if err := checkName("an account", in.Account); err != nil {
		return err
	}
	if in.Attempt == "" {
		return fmt.Errorf("an intent of account %s has no attempt id: it could not be told from another", in.Account)
	}
	return nil
}
