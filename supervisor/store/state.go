package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// state is what is durable, in types. Its rules (rules.go) say what a call would
// change; what they return is made durable first and applied then, so who reads
// waits for nobody and sees nothing that could be lost. What is in it is never
// changed in place.
type state struct {
	mu       sync.RWMutex
	accounts map[string]*account
	// ledger by sink and by account.
	ledger map[string]map[string]Delivery
	alerts map[string]event.Alert
	// passed has the names that were free of their logins, and when.
	passed map[string]time.Time
	owner  machine.Owner
	// foreign are the keys of a newer program.
	foreign map[string][]byte
	heads   heads
	// decoder reads what is put.
	decoder record.Decoder
}

// account is all that is stored under an account's name.
type account struct {
	record   Record // of version 0: there is none
	refusal  *Health
	intent   *Intent
	login    *Login
	requests []Request
	pause    *Pause
}

// isEmpty says whether nothing is stored of it.
func (a *account) isEmpty() bool {
	return a.record.Version == 0 && a.refusal == nil && a.intent == nil && a.login == nil && a.requests == nil && a.pause == nil
}

func newState() *state {
	return &state{accounts: map[string]*account{}, ledger: map[string]map[string]Delivery{}, alerts: map[string]event.Alert{}, passed: map[string]time.Time{}, foreign: map[string][]byte{}}
}

// Apply implements [mirror.State].
func (s *state) Apply(c map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for key, value := range c {
		errs = append(errs, s.put(key, value))
	}
	return errors.Join(errs...)
}

var errUnreadable = fmt.Errorf("%w: what is stored can't be read; keep the file, and restore a backup", ErrDamaged)

// put takes over one value; nil: there is none any more. The caller holds s.mu, or is
// alone.
func (s *state) put(key string, value []byte) error {
	if name, part, ok := accountOf(key); ok {
		return s.putPart(name, part, value)
	}
	if rest, ok := strings.CutPrefix(key, prefixLedger); ok {
		sink, of, _ := strings.Cut(rest, "/")
		return s.putLine(sink, of, value)
	}
	if name, ok := strings.CutPrefix(key, prefixAlerts); ok {
		if delete(s.alerts, name); value == nil {
			return nil
		}
		var a event.Alert
		if json.Unmarshal(value, &a) != nil || a.Key != name {
			return fmt.Errorf("alert %s: %w", name, errUnreadable)
		}
		s.alerts[name] = a
		return nil
	}
	if name, ok := strings.CutPrefix(key, prefixPassed); ok {
		var at time.Time
		if delete(s.passed, name); value == nil {
			return nil
		}
		if json.Unmarshal(value, &at) != nil {
			return fmt.Errorf("when the name %s was free: %w", name, errUnreadable)
		}
		s.passed[name] = at
		return nil
	}
	if key == keyMachine {
		var o machine.Owner
		if value != nil && json.Unmarshal(value, &o) != nil {
			return fmt.Errorf("the name of its machine: %w", errUnreadable)
		}
		s.owner = o
		return nil
	}
	if delete(s.foreign, key); value != nil {
		s.foreign[key] = slices.Clone(value)
	}
	return nil
}

// putPart takes over a part of what is stored of an account.
func (s *state) putPart(name, part string, value []byte) (err error) {
	a := s.accounts[name]
	if a == nil {
		if value == nil {
			return nil
		}
		a = &account{}
		s.accounts[name] = a
	}
	switch part {
	case partRecord:
		if a.record = (Record{}); value != nil {
			a.record, err = s.decoder.Record(name, value)
		}
		s.heads.changed(name)
	case partIntent:
		if a.intent = nil; value != nil {
			a.intent, err = record.DecodeIntent(name, value)
		}
	case partLogin:
		if a.login = nil; value != nil {
			a.login, err = record.DecodeLogin(name, value)
		}
	case partRequests:
		if a.requests = nil; value != nil {
			err = json.Unmarshal(value, &a.requests)
		}
	case partRefusal:
		if a.refusal = nil; value != nil {
			a.refusal = &Health{}
			err = json.Unmarshal(value, a.refusal)
		}
	case partPause:
		if a.pause = nil; value != nil {
			a.pause, err = record.DecodePause(value)
		}
	default:
		if delete(s.foreign, accountKey(name, part)); value != nil {
			s.foreign[accountKey(name, part)] = slices.Clone(value)
		}
	}
	if value == nil && a.isEmpty() {
		delete(s.accounts, name)
	}
	switch {
	case err == nil:
		return nil
	case part == partRecord:
		return fmt.Errorf("%w: the record of account %s %w; keep the file, and restore a backup or import the account's token", ErrDamaged, name, err)
	}
	return fmt.Errorf("the %s of account %s: %w", part, name, errUnreadable)
}

// putLine takes over a line of the ledger.
func (s *state) putLine(sink, of string, value []byte) error {
	lines := s.ledger[sink]
	if value == nil {
		if delete(lines, of); len(lines) == 0 {
			delete(s.ledger, sink)
		}
		return nil
	}
	d, err := s.decoder.Delivery(sink, of, value)
	if err != nil {
		return fmt.Errorf("the delivery of %s to sink %s: %w", of, sink, errUnreadable)
	}
	if lines == nil {
		lines = map[string]Delivery{}
		s.ledger[d.Sink] = lines
	}
	lines[of] = d
	return nil
}

// Values implements [mirror.State]. Only the writer may call it: nothing changes
// meanwhile.
func (s *state) Values() (map[string][]byte, error) {
	c := &change{values: make(map[string][]byte, 2*len(s.accounts))}
	for name, a := range s.accounts {
		if a.record.Version > 0 {
			c.putRecord(a.record)
		}
		if a.intent != nil {
			c.put(intentKey(name), a.intent)
		}
		if a.login != nil {
			c.putLogin(*a.login)
		}
		if a.requests != nil {
			c.put(accountKey(name, partRequests), a.requests)
		}
		if a.refusal != nil {
			c.put(accountKey(name, partRefusal), a.refusal)
		}
		if a.pause != nil {
			c.put(accountKey(name, partPause), a.pause)
		}
	}
	for _, lines := range s.ledger {
		for _, d := range lines {
			c.put(ledgerKey(d.Sink, d.Account), d)
		}
	}
	for key, a := range s.alerts {
		c.put(alertKey(key), a)
	}
	for name, at := range s.passed {
		c.put(passedKey(name), at)
	}
	if !s.owner.Name.Zero() {
		c.put(keyMachine, s.owner)
	}
	maps.Copy(c.values, s.foreign)
	return c.values, c.err
}

// of returns what is stored of an account, which may be nothing. The caller holds s.mu,
// or is the writer.
func (s *state) of(name string) account {
	if a := s.accounts[name]; a != nil {
		return *a
	}
	return account{}
}

// Empty implements [mirror.State].
func (s *state) Empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.accounts)+len(s.ledger)+len(s.alerts)+len(s.passed)+len(s.foreign) == 0 && s.owner.Name.Zero()
}

// records are those of all accounts, ordered by account.
func (s *state) records() []Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Record, 0, len(s.accounts))
	for _, a := range s.accounts {
		if a.record.Version > 0 {
			all = append(all, a.record)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Account, b.Account) })
	return all
}
