package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

var errGone = fmt.Errorf("%w: the state file is gone", ErrDamaged)

// restoration gathers what is left of a store.
type restoration struct {
	// base is the newest file that is good as a whole; nil: none is.
	base *source
	// records are the newest of each account that could be found.
	records map[string]restoredRecord
	// intents that stood in what is left.
	intents map[string]*Intent
	// outlived is what is as true after a restoration, by key: the alerts that were open
	// in what is left, the requests that were made, and whose store it is.
	outlived change
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
func (m opening) restore(live []source, cause error) error {
	r := &restoration{records: map[string]restoredRecord{}, intents: map[string]*Intent{}, outlived: change{}, named: map[string]bool{}}
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
	m.state = newState()
	if err := m.state.apply(r.values()); err != nil {
		return err
	}
	m.tried = r.tried
	if r.base != nil {
		m.format, _ = checkFormat(r.base.format)
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
func (m opening) begin() error {
	return m.renew(nil, "empty")
}

// remains are the files beside the state files that may hold a part of the
// store: backups, and what was put aside.
func (m opening) remains() (paths []string) {
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
	if s.empty {
		return nil
	}
	if s.moved != "" {
		return fmt.Errorf("%w to %s, says %s", ErrMoved, s.moved, s.path)
	}
	r.tried = max(r.tried, s.sequence, s.acked)
	if s.good() && (r.base == nil || s.sequence > r.base.sequence) {
		r.base = s
	}
	for name, a := range s.state.accounts {
		r.named[name] = true
		if a.record.Version > 0 {
			r.offer(a.record, s.path, live && s.newest(recordKey(name)))
		}
		if live && a.intent != nil {
			r.intents[name] = a.intent
		}
	}
	for _, lines := range s.state.ledger {
		for name := range lines {
			if !isAlert(name) {
				r.named[name] = true
			}
		}
	}
	for key, f := range s.values {
		if live && outlives(key) {
			r.outlived[key] = f.value
		}
	}
	return nil
}

// outlives says whether what is under a key is as true after a restoration. The
// intents and the records are looked at one by one, and the ledger and the open logins
// are left out: a sink may get a token once more, but never misses one whose version was
// used before, and the codes of logins may have been spent since.
func outlives(key string) bool {
	_, part, ok := accountOf(key)
	return !strings.HasPrefix(key, prefixLedger) && (!ok || part != partRecord && part != partIntent && part != partLogin)
}

func (r *restoration) offer(rec Record, path string, newest bool) {
	r.named[rec.Account] = true
	if have, ok := r.records[rec.Account]; !ok || newer(rec, have.Record) {
		r.records[rec.Account] = restoredRecord{rec, path, newest}
	}
}

// values are those of the restored store.
func (r *restoration) values() change {
	c := change{}
	if r.base != nil {
		for key, f := range r.base.values {
			if outlives(key) {
				c[key] = f.value
			}
		}
		for name, a := range r.base.state.accounts {
			if r.intents[name] == nil {
				r.intents[name] = a.intent
			}
		}
	}
	maps.Copy(c, r.outlived)
	for _, rec := range r.records {
		_ = c.putRecord(rec.Record) // it was read as such
	}
	for name, in := range r.intents {
		if in == nil || in.Version < r.records[name].Version {
			continue
		}
		// It may have been over long since: an empty spool proves nothing.
		back := *in
		back.Spool = ""
		if back.Before != nil {
			before := *back.Before
			before.Spool = ""
			back.Before = &before
		}
		_ = c.putJSON(intentKey(name), back)
	}
	return c
}

func (r *restoration) report(cause error) *Restored {
	report := &Restored{Cause: cause}
	if r.base != nil {
		report.Base, report.BaseAt = r.base.path, newestMoment(r.base.state)
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
func newestMoment(s *state) (at time.Time) {
	for _, a := range s.accounts {
		at = moment.Later(at, a.record.StoredAt)
	}
	return at
}
