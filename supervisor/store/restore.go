package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var errGone = fmt.Errorf("%w: the state file is gone", ErrDamaged)

// restoration gathers what is left of a store.
type restoration struct {
	// base is the newest file that is good as a whole; nil: none is.
	base *source
	// records are the newest of each account that could be found.
	records map[string]restoredRecord
	// intents that stood in what is left.
	intents map[string][]byte
	// outlived are the alerts that were open in what is left, and the requests that
	// were made, by key.
	outlived map[string][]byte
	// machine is what is left says of the machine that the store belongs to.
	machine []byte
	// named are accounts that something speaks of.
	named map[string]bool
	// tried is the highest sequence of any file.
	tried uint64
}

type restoredRecord struct {
	Record
	source string
	newest bool
}

// restore puts the store together again from what is left of the state files,
// from backups, and from files that were put aside. For each account the
// highest version counts, wherever it stands: versions never go back, and
// the newest refresh token is the one that is good.
func (m *mirror) restore(live []source, cause error) error {
	r := &restoration{records: map[string]restoredRecord{}, intents: map[string][]byte{}, outlived: map[string][]byte{}, named: map[string]bool{}}
	for n := range live {
		if err := r.add(&live[n], true); err != nil {
			return err
		}
	}
	used := false // the directory has been, before this
	for _, path := range m.remains() {
		if strings.HasPrefix(filepath.Base(path), FileName+"."+wrongFound+"-") {
			used = true // and this is not of our making
			continue
		}
		s, err := readSource(path)
		if err != nil {
			m.options.Log.Warn("a file that may hold a part of the store can't be read", "path", path, "error", err)
			continue
		}
		used = used || !strings.HasSuffix(path, nextSuffix)
		if err := r.add(&s, false); err != nil {
			return err
		}
	}
	if len(r.records) == 0 {
		if errors.Is(cause, errGone) && !used {
			return m.begin()
		}
		return fmt.Errorf("%w, and there is no record to restore it from; move what is in %s away, keep it, and import the tokens or log in again",
			cause, m.places[0].dir)
	}
	values := r.values()
	m.values.values = newKeyspace(values)
	m.tried = r.tried
	m.total = newTotal(m.tried, sumOf(values))
	if r.base != nil && !r.base.old {
		m.format = r.base.format
	}
	m.restored = r.report(cause)
	now := m.options.Now()
	aside := func(p *place) string { return p.asideName("damaged", now) }
	kept := aside(m.places[0])
	err := m.renewAs(nil, aside)
	if err == nil && m.at == m.places[0] && !live[0].empty {
		m.restored.Kept = kept
	}
	m.retire(live)
	m.options.Log.Error("the store was restored", "cause", cause, "kept", m.restored.Kept, "base", m.restored.Base,
		"accounts", len(m.restored.Accounts), "missing", m.restored.Missing)
	return nil
}

// begin makes a new, empty store.
func (m *mirror) begin() error {
	m.total = newTotal(0, 0)
	return m.renew(nil, "empty")
}

// remains are the files beside the state files that may hold a part of the
// store: backups, and what was put aside.
func (m *mirror) remains() (paths []string) {
	for _, p := range m.places {
		for _, pattern := range []string{p.file() + ".*", filepath.Join(p.backups(), "*")} {
			found, _ := filepath.Glob(pattern)
			paths = append(paths, found...)
		}
	}
	return paths
}

// add takes what one file holds. Live files count more than others that hold
// the same.
func (r *restoration) add(s *source, live bool) error {
	if errors.Is(s.err, ErrNewerFormat) {
		return fmt.Errorf("file %s: %w", s.path, s.err)
	}
	if s.empty || s.foreign {
		return nil
	}
	if s.good() {
		r.tried = max(r.tried, s.total.Sequence)
	}
	if s.good() && (r.base == nil || s.total.Sequence > r.base.total.Sequence) {
		r.base = s
	}
	for key, value := range s.values {
		if account, ok := recordAccount(key); ok {
			rec, err := open(account, value)
			if err != nil {
				return err // image has read it
			}
			r.offer(rec, s.path, live && !s.stale)
		}
		if account, ok := intentAccount(key); ok {
			r.named[account] = true
			if live {
				r.intents[account] = value
			}
		}
		if d, ok := readDelivery(value); ok && strings.HasPrefix(key, prefixLedger) && !isAlert(d.Account) {
			r.named[d.Account] = true
		}
		if live && key == keyMachine {
			r.machine = value
		}
		if live && outlives(key) {
			r.outlived[key] = value
		}
	}
	if s.good() {
		return nil
	}
	found, err := salvage(s.file)
	if err != nil {
		return fmt.Errorf("file %s: %w", s.path, err)
	}
	for _, rec := range found {
		r.offer(rec, s.path, false)
	}
	return nil
}

// outlives says whether what is under a key is as true after a restoration.
func outlives(key string) bool {
	return strings.HasPrefix(key, prefixAlerts) || strings.HasPrefix(key, prefixRequests) || strings.HasPrefix(key, prefixRefusals)
}

func (r *restoration) offer(rec Record, path string, newest bool) {
	r.named[rec.Account] = true
	if have, ok := r.records[rec.Account]; !ok || newer(rec, have.Record) {
		r.records[rec.Account] = restoredRecord{rec, path, newest}
	}
}

// values are those of the restored store. The ledger is left out: a sink may
// get a token once more, but never misses one whose version was used before. So are
// the open logins: their codes may have been spent since.
func (r *restoration) values() map[string][]byte {
	values := map[string][]byte{}
	if r.base != nil {
		for key, value := range r.base.values {
			if account, ok := intentAccount(key); ok && r.intents[account] == nil {
				r.intents[account] = value
			}
			if foreignKey(key) || key == keyMachine || outlives(key) {
				values[key] = value
			}
		}
	}
	maps.Copy(values, r.outlived)
	if r.machine != nil {
		values[keyMachine] = r.machine
	}
	for account, rec := range r.records {
		if b, err := seal(rec.Record); err == nil {
			values[recordKey(account)] = b
		}
	}
	for account, b := range r.intents {
		in, ok, err := readIntent(account, b)
		if ok && err == nil && in.Version >= r.records[account].Version {
			// It may have been over long since: an empty spool proves nothing.
			in.Spool = ""
			if in.Before != nil {
				in.Before.Spool = ""
			}
			if b, err = json.Marshal(in); err == nil {
				values[intentKey(account)] = sign(b)
			}
		}
	}
	return values
}

func (r *restoration) report(cause error) *Restored {
	report := &Restored{Cause: cause}
	if r.base != nil {
		report.Base, report.BaseAt = r.base.path, newestMoment(r.base.values)
	}
	for _, account := range slices.Sorted(maps.Keys(r.named)) {
		rec, ok := r.records[account]
		if !ok {
			report.Missing = append(report.Missing, account)
			continue
		}
		report.Accounts = append(report.Accounts, RestoredAccount{
			Account: account, Version: rec.Version, StoredAt: rec.StoredAt, Source: rec.source, Newest: rec.newest,
		})
	}
	return report
}

// newestMoment is when the newest record of a store was stored.
func newestMoment(values map[string][]byte) (at time.Time) {
	for key, value := range values {
		if account, ok := recordAccount(key); ok {
			if r, err := open(account, value); err == nil && r.StoredAt.After(at) {
				at = r.StoredAt
			}
		}
	}
	return at
}
