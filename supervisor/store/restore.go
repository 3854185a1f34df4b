package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
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
func (o opening) restore(live []source, cause error) (*state, *Restored, error) {
	r := &restoration{records: map[string]restoredRecord{}, intents: map[string]*Intent{}, outlived: change{}, named: map[string]bool{}}
	for n := range live {
		if err := r.add(&live[n], true); err != nil {
			return nil, nil, err
		}
	}
	paths, used := o.mirror.Remains()
	for _, path := range paths {
		img, err := journal.Read(path)
		if err != nil {
			o.log.Warn("a file that may hold a part of the store can't be read", "path", path, "error", err)
			continue
		}
		defer img.Close()
		s := decode(img)
		if err := r.add(&s, false); err != nil {
			return nil, nil, err
		}
	}
	s := newState()
	if len(r.records) == 0 {
		if errors.Is(cause, errGone) && !used {
			return s, nil, o.mirror.Begin(s)
		}
		return nil, nil, fmt.Errorf("%w, and there is no record to restore it from; move what is in %s away, keep it, and import the tokens or log in again",
			cause, o.dir)
	}
	if err := s.Apply(r.values()); err != nil {
		return nil, nil, err
	}
	report := r.report(cause)
	var base *journal.Image
	if r.base != nil {
		base = r.base.Image
	}
	// What can't be written is in memory, and the next write tries again.
	report.Kept, _ = o.mirror.Restore(s, r.tried, base)
	images := make([]*journal.Image, 0, len(live))
	for _, l := range live {
		images = append(images, l.Image)
	}
	o.mirror.Retire(images)
	o.log.Error("the store was restored", "cause", cause, "kept", report.Kept, "base", report.Base,
		"accounts", len(report.Accounts), "missing", report.Missing)
	return s, report, nil
}

// add takes what one file holds. Live files count more than others that hold
// the same.
func (r *restoration) add(s *source, live bool) error {
	if errors.Is(s.Err, ErrNewerFormat) {
		return fmt.Errorf("file %s: %w", s.Path, s.Err)
	}
	if s.Empty {
		return nil
	}
	if s.Moved != "" {
		return fmt.Errorf("%w to %s, says %s", ErrMoved, s.Moved, s.Path)
	}
	r.tried = max(r.tried, s.Sequence, s.Acked)
	if s.Good() && (r.base == nil || s.Sequence > r.base.Sequence) {
		r.base = s
	}
	for name, a := range s.state.accounts {
		r.named[name] = true
		if a.record.Version > 0 {
			r.offer(a.record, s.Path, live && s.Newest(recordKey(name)))
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
	for key, f := range s.All() {
		if live && outlives(key) {
			r.outlived[key] = bytes.Clone(f)
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
	// Versions begin anew under a name that was forgotten or given away: what is surely the
	// newest is so whatever a backup has.
	if have, ok := r.records[rec.Account]; !ok || newest && !have.newest || newest == have.newest && record.Newer(rec, have.Record) {
		r.records[rec.Account] = restoredRecord{rec, path, newest}
	}
}

// values are those of the restored store.
func (r *restoration) values() change {
	c := change{}
	if r.base != nil {
		for key, f := range r.base.All() {
			if outlives(key) {
				c[key] = bytes.Clone(f)
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
		report.Base, report.BaseAt = r.base.Path, newestMoment(r.base.state)
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
