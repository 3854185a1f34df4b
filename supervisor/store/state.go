package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	mu sync.RWMutex
	// writing is held by the handle that writes, where there are several.
	writing  sync.Mutex
	accounts map[string]*account
	// ledger by sink and by account.
	ledger map[string]map[string]Delivery
	alerts map[string]event.Alert
	// passed has the names that were free of their logins, and when.
	passed map[string]time.Time
	owner  machine.Owner
	// foreign are the keys of a newer program.
	foreign map[string][]byte
	// order are the names of the accounts, in order; nil: nobody has asked since one has
	// come or gone.
	order atomic.Pointer[[]string]
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
	names    []formerName
}

// storedPart is one part of what is stored of an account, under a key of its own.
type storedPart struct {
	name  string
	value any
	there bool
}

// parts are those that are there.
func (a *account) parts() []storedPart {
	all := []storedPart{
		{partRecord, &a.record, a.record.Version > 0},
		{partIntent, a.intent, a.intent != nil},
		{partLogin, a.login, a.login != nil},
		{partRequests, a.requests, a.requests != nil},
		{partRefusal, a.refusal, a.refusal != nil},
		{partPause, a.pause, a.pause != nil},
		{partNames, a.names, a.names != nil},
	}
	return slices.DeleteFunc(all, func(p storedPart) bool { return !p.there })
}

func newState() *state {
	return &state{
		accounts: map[string]*account{}, ledger: map[string]map[string]Delivery{}, alerts: map[string]event.Alert{},
		passed: map[string]time.Time{}, foreign: map[string][]byte{},
	}
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
		return putIn(s.alerts, name, value, "alert "+name, func(a event.Alert) bool { return a.Key == name })
	}
	if name, ok := strings.CutPrefix(key, prefixPassed); ok {
		return putIn(s.passed, name, value, "when the name "+name+" was free", func(time.Time) bool { return true })
	}
	if key == keyMachine {
		o, err := decoded[machine.Owner](value)
		if err != nil {
			return fmt.Errorf("the name of its machine: %w", err)
		}
		s.owner = o
		return nil
	}
	s.putForeign(key, value)
	return nil
}

// putForeign keeps what means nothing here.
func (s *state) putForeign(key string, value []byte) {
	if delete(s.foreign, key); value != nil {
		s.foreign[key] = slices.Clone(value)
	}
}

// putIn takes over what stands under a name, if it is right.
func putIn[T any](all map[string]T, name string, value []byte, what string, right func(T) bool) error {
	if delete(all, name); value == nil {
		return nil
	}
	v, err := decoded[T](value)
	if err != nil || !right(v) {
		return fmt.Errorf("%s: %w", what, errUnreadable)
	}
	all[name] = v
	return nil
}

// decoded is what a value says; nil: nothing.
func decoded[T any](value []byte) (v T, err error) {
	if value != nil && json.Unmarshal(value, &v) != nil {
		return *new(T), errUnreadable
	}
	return v, nil
}

// putPart takes over a part of what is stored of an account.
func (s *state) putPart(name, part string, value []byte) (err error) {
	a := s.accounts[name]
	if a == nil {
		a = &account{}
		s.accounts[name] = a
		s.order.Store(nil)
	}
	switch part {
	case partRecord:
		if a.record = (Record{}); value != nil {
			a.record, err = s.decoder.Record(name, value)
		}
	case partIntent:
		if a.intent = nil; value != nil {
			a.intent, err = record.DecodeIntent(name, value)
		}
	case partLogin:
		if a.login = nil; value != nil {
			a.login, err = record.DecodeLogin(name, value)
		}
	case partRequests:
		a.requests, err = decoded[[]Request](value)
	case partRefusal:
		a.refusal, err = decoded[*Health](value)
	case partPause:
		a.pause, err = decoded[*Pause](value)
	case partNames:
		a.names, err = decoded[[]formerName](value)
	default:
		s.putForeign(accountKey(name, part), value)
	}
	if value == nil && len(a.parts()) == 0 {
		delete(s.accounts, name)
		s.order.Store(nil)
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
		for _, p := range a.parts() {
			c.put(accountKey(name, p.name), p.value)
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
