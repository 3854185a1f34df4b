package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

var errGone = fmt.Errorf("%w: the state file is gone", ErrDamaged)

// restoration gathers what is left of a store.
type restoration struct {
	// files are those that something was read in, the live ones first.
	files []*remains
	// found is what stands under each key, as that file has it that knows the latest of it.
	found map[string]finding
	// base is the newest file that is good as a whole, and baseAt the moment of its newest
	// record; nil: none is.
	base   *journal.Image
	baseAt time.Time
	// tried is the highest sequence of any file.
	tried uint64
	// records: some account has one in some file.
	records bool
}

// remains are a file in which something is left of the store. A live one is a state file in
// its place.
type remains struct {
	*journal.Image
	live bool
}

// finding is what stands under a key in a file, and up to which transaction that is known.
type finding struct {
	*remains
	value []byte // nil: it does not come back, or can't be read
	upTo  uint64
}

// restore puts the store together again from what is left of the state files,
// from backups, and from files that were put aside. What stands under a key is what the
// file says of it that knows the latest, and so is that it was removed: an account that
// was forgotten, or a pause that is over, does not come back from a backup of before.
func (o opening) restore(images []*journal.Image, live []source, cause error) (*state, *Restored, error) {
	r := &restoration{found: map[string]finding{}}
	var further []*journal.Image
	for _, s := range live {
		if err := r.add(s, true, nil); err != nil {
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
		if r.isFurther(img) {
			further = append(further, img)
		} else if err := r.add(decode(img), false, nil); err != nil {
			return nil, nil, err
		}
	}
	if err := r.addFurther(further, cause, o.dir); err != nil {
		return nil, nil, err
	}
	if !r.records {
		if s := newState(); errors.Is(cause, errGone) && !used {
			return s, nil, o.mirror.Begin(s)
		}
		return nil, nil, fmt.Errorf("%w, and there is no record to restore it from; move what is in %s away, keep it, and import the tokens or log in again",
			cause, o.dir)
	}
	r.leaveOut(o.log)
	s, err := r.state()
	if err != nil {
		return nil, nil, err
	}
	report := r.report(cause, s)
	// What can't be written is in memory, and the next write tries again.
	report.Kept, _ = o.mirror.Restore(s, r.tried, r.base)
	o.mirror.Retire(images)
	o.log.Error("the store was restored", "cause", cause, "kept", report.Kept, "base", report.Base,
		"accounts", len(report.Accounts), "missing", report.Missing)
	return s, report, nil
}

// add takes what one file holds. Of files that know as much of a key the first counts. The
// ledger and the open logins do not come back: a sink may get a token once more, but never
// misses one whose version was used before, and the codes of logins may have been spent
// since. known is what the others hold, in types, if this one goes further than they should;
// nil: it does not.
func (r *restoration) add(s source, live bool, known *state) error {
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
		r.base, r.baseAt = s.Image, time.Time{}
		for _, a := range s.state.accounts {
			r.baseAt = moment.Later(r.baseAt, a.record.StoredAt)
		}
	}
	f := &remains{s.Image, live}
	r.files = append(r.files, f)
	for key, value := range s.All() {
		_, upTo := s.Shows(key)
		name, part, _ := accountOf(key)
		if have, ok := r.found[key]; ok && (have.upTo >= upTo || part == partRecord && outdoes(known, s.state.of(name).record)) {
			continue
		}
		if part == partLogin || strings.HasPrefix(key, prefixLedger) {
			value = nil
		}
		r.records = r.records || part == partRecord
		r.found[key] = finding{f, bytes.Clone(value), upTo}
	}
	return nil
}

// leaveOut takes out what was removed after it was written, and says so of accounts.
func (r *restoration) leaveOut(log *slog.Logger) {
	for key, f := range r.found {
		by := r.removedBy(key, f)
		if by == nil {
			continue
		}
		delete(r.found, key)
		if name, part, _ := accountOf(key); part == partRecord {
			log.Warn("an account was forgotten, or given another name, after this file was written, and does not come back from it",
				"account", name, "path", f.Path, "known_from", by.Path)
		}
	}
}

// removedBy returns the file that shows that a key was removed after it was found; nil:
// none does. What a state file has of an account gives way to a state file alone: whether
// all that stands beside it is of the same store is known to nobody, and a login, or that
// its refresh token was sent, counts more than a name or a pause that comes back.
func (r *restoration) removedBy(key string, found finding) *remains {
	for _, f := range r.files {
		if _, _, ofAccount := accountOf(key); found.live && !f.live && ofAccount {
			continue
		}
		if there, upTo := f.Shows(key); !there && upTo > found.upTo {
			return f
		}
	}
	return nil
}

// state is that of the restored store. An intent comes back if no version has ended it
// since, and without its spool: it may have been over long since, and an empty spool
// proves nothing.
func (r *restoration) state() (*state, error) {
	s, values, intents := newState(), map[string][]byte{}, newChange()
	for key, f := range r.found {
		values[key] = f.value
	}
	if err := s.Apply(values); err != nil {
		return nil, err
	}
	for name, a := range s.accounts {
		if a.intent == nil {
			continue
		}
		back := *a.intent
		back.Spool = ""
		if back.Before != nil {
			before := *back.Before
			before.Spool = ""
			back.Before = &before
		}
		if intents.drop(intentKey(name)); back.Version >= a.record.Version {
			intents.put(intentKey(name), back)
		}
	}
	return s, errors.Join(intents.err, s.Apply(intents.values))
}

// named are the accounts that something speaks of.
func (r *restoration) named() map[string]bool {
	named := map[string]bool{}
	note := func(key string) {
		account, _, ok := accountOf(key)
		if line, isLine := strings.CutPrefix(key, prefixLedger); isLine {
			_, account, ok = strings.Cut(line, "/")
		}
		if ok && !isAlert(account) {
			named[account] = true
		}
	}
	for key := range r.found {
		note(key)
	}
	for _, f := range r.files {
		for key := range f.Unread() {
			if _, upTo := f.Shows(key); r.removedBy(key, finding{remains: f, upTo: upTo}) == nil {
				note(key)
			}
		}
	}
	return named
}

func (r *restoration) report(cause error, s *state) *Restored {
	report := &Restored{Cause: cause, BaseAt: r.baseAt}
	if r.base != nil {
		report.Base = r.base.Path
	}
	for _, account := range slices.Sorted(maps.Keys(r.named())) {
		rec := s.of(account).record
		if rec.Version == 0 {
			report.Missing = append(report.Missing, account)
			continue
		}
		f := r.found[recordKey(account)]
		report.Accounts = append(report.Accounts, RestoredAccount{
			Account: account, Version: rec.Version, StoredAt: rec.StoredAt, Source: f.Path,
			Newest: f.live && f.Newest(recordKey(account)) && f.Sequence == r.tried,
		})
	}
	return report
}
