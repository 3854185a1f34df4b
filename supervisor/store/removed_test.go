package store_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// tale is a store of which it is known which frame of its file a step has written.
type tale struct {
	t      *testing.T
	s      *store.Journal
	dir    string
	frames map[string][2]int // from where to where in the log
	now    time.Time
}

func begin(t *testing.T) *tale {
	w := &tale{t: t, dir: filepath.Join(fastDir(t), "state"), frames: map[string][2]int{}, now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	w.open()
	return w
}

func (w *tale) resume(account string) error {
	p, _, err := w.s.Pause(w.t.Context(), account)
	return errors.Join(err, w.s.PutPause(w.t.Context(), account, &p, nil))
}

func (w *tale) open() {
	w.t.Helper()
	s, err := store.Open(w.dir, store.Options{Timeout: time.Millisecond, Now: func() time.Time { return w.now }})
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() })
	w.s = s
}

func (w *tale) file() string { return filepath.Join(w.dir, store.FileName) }

// step notes which frame has just been written.
func (w *tale) step(name string, err error) {
	w.t.Helper()
	must(w.t, err)
	frames := framesOf(read(w.t, w.file()))
	w.frames[name] = [2]int(frames[len(frames)-2:])
}

// another is a step that has nothing to do with any other.
func (w *tale) another(name string) {
	w.t.Helper()
	w.step(name, w.s.SaveAlert(w.t.Context(), event.Alert{Key: "disk_trouble:" + name, Version: 1}))
}

// backUp makes a backup, and lets a day go by.
func (w *tale) backUp() {
	w.t.Helper()
	must(w.t, w.s.Backup(w.t.Context()))
	w.now = w.now.Add(24 * time.Hour)
}

// rewrite writes the file anew, with what stood in it as history.
func (w *tale) rewrite() {
	w.t.Helper()
	w.s.Compact(1)
	must(w.t, w.s.SaveAlert(w.t.Context(), event.Alert{Key: "disk_trouble:compact", Version: 1}))
	w.s.Compact(1 << 20)
}

// compact is rewrite, and another change.
func (w *tale) compact() {
	w.t.Helper()
	w.rewrite()
	w.another("compacted")
}

// damage ends the store, and takes away both copies of what a step has written; of "file"
// the whole file, of "heads" both of them.
func (w *tale) damage(step string) {
	w.t.Helper()
	must(w.t, w.s.Close())
	if step == "file" {
		must(w.t, os.Remove(w.file()))
		return
	}
	b := read(w.t, w.file())
	if step == "heads" {
		clear(b[:2*4096])
	} else {
		hole, ok := w.frames[step]
		if !ok {
			w.t.Fatalf("no step is called %s", step)
		}
		withoutFrame(b, hole[0], hole[1])
	}
	must(w.t, os.WriteFile(w.file(), b, 0o600))
}

// versions are those that came back, below zero if they are not surely the newest; 0 of
// accounts that are missing.
func (w *tale) versions() map[string]int {
	w.t.Helper()
	r := w.s.Restored()
	if r == nil {
		w.t.Fatal("nothing was restored")
	}
	all := map[string]int{}
	for _, a := range r.Accounts {
		if all[a.Account] = int(a.Version); !a.Newest {
			all[a.Account] *= -1
		}
	}
	for _, name := range r.Missing {
		all[name] = 0
	}
	heads, err := w.s.Heads(w.t.Context())
	if must(w.t, err); len(heads) != len(r.Accounts) {
		w.t.Errorf("%d records, and %d are told", len(heads), len(r.Accounts))
	}
	return all
}

// What was ended since the backup does not come back from it, as long as what is left of
// the state file shows that; what nobody can know does.
func TestWhatIsOverDoesNotComeBack(t *testing.T) {
	alert := event.Alert{Key: "needs_login:main", Version: 1, Account: "main"}
	kinds := map[string]struct {
		begin, end func(*tale) error
		there      func(*tale) (bool, error)
	}{
		"a pause": {
			begin: func(w *tale) error { return w.s.PutPause(t.Context(), "main", nil, &store.Pause{Since: w.now}) },
			end:   func(w *tale) error { return w.resume("main") },
			there: func(w *tale) (bool, error) {
				_, there, err := w.s.Pause(t.Context(), "main")
				return there, err
			},
		},
		"requests": {
			begin: func(w *tale) error {
				return w.s.PutRequests(t.Context(), "main", []store.Request{{Attempt: "a", At: w.now}})
			},
			end: func(w *tale) error { return w.s.PutRequests(t.Context(), "main", nil) },
			there: func(w *tale) (bool, error) {
				all, err := w.s.Requests(t.Context(), "main")
				return len(all) > 0, err
			},
		},
		"an alert": {
			begin: func(w *tale) error { return w.s.SaveAlert(t.Context(), alert) },
			end:   func(w *tale) error { return w.s.DropAlert(t.Context(), alert.Key, alert.Version) },
			there: func(w *tale) (bool, error) {
				all, err := w.s.Alerts(t.Context())
				for _, a := range all {
					if a.Key == alert.Key {
						return true, err
					}
				}
				return false, err
			},
		},
		"an attempt": {
			begin: func(w *tale) error {
				return w.s.Intend(t.Context(), store.Intent{Account: "main", Attempt: "a", Version: 1})
			},
			end: func(w *tale) error {
				return w.s.Abandon(t.Context(), "main", "a", store.Basis{Version: 1}, store.Health{})
			},
			there: func(w *tale) (bool, error) {
				_, there, err := w.s.Intent(t.Context(), "main")
				return there, err
			},
		},
	}
	for name, tt := range map[string]struct {
		lost               string
		since, compact     bool // it was begun since the backup, and the file compacted since it ended
		neverEnded, stands bool
	}{
		"what is missing was before its end":              {lost: "before"},
		"its end itself is missing":                       {lost: "end", stands: true},
		"what is missing was behind its end":              {lost: "behind"},
		"its end is history":                              {lost: "last but one", compact: true},
		"nothing tells where the file ends":               {lost: "heads"},
		"the file is gone":                                {lost: "file", stands: true},
		"it was begun since the backup":                   {lost: "before", since: true, neverEnded: true, stands: true},
		"it was begun since, and what follows is missing": {lost: "behind", since: true, neverEnded: true, stands: true},
		"it was begun since, and that is missing":         {lost: "begin", since: true, neverEnded: true},
		"it has been there all the time":                  {lost: "behind", neverEnded: true, stands: true},
	} {
		for kind, k := range kinds {
			t.Run(kind+"/"+name, func(t *testing.T) {
				w := begin(t)
				commit(t, w.s, "main", 1, 1)
				if !tt.since {
					w.step("begin", k.begin(w))
				}
				w.backUp()
				w.another("before")
				if tt.since {
					w.step("begin", k.begin(w))
				}
				if !tt.neverEnded {
					w.step("end", k.end(w))
				}
				w.another("behind")
				if tt.compact {
					w.compact()
				}
				w.another("last but one")
				w.another("last")
				w.damage(tt.lost)
				w.open()
				if w.s.Restored() == nil {
					t.Fatal("nothing was restored")
				}
				if there, err := k.there(w); err != nil || there != tt.stands {
					t.Errorf("it stands: %t (%v), want %t", there, err, tt.stands)
				}
			})
		}
	}
}

// A name that was forgotten or given away stays so, and what began anew under it counts,
// as far as anything shows that; otherwise the record comes back, and is doubted.
func TestNamesThatWereGivenAway(t *testing.T) {
	forget := func(w *tale) { w.step("gone", storetest.Forget(t.Context(), w.s, "old")) }
	move := func(w *tale) { w.step("gone", w.s.Rename(t.Context(), "old", "new", store.Basis{Version: 3})) }
	again := func(w *tale) {
		forget(w)
		w.another("between")
		w.step("again", w.s.Commit(t.Context(), next("old", 1)))
	}
	compacted := func(w *tale) {
		forget(w)
		w.compact()
	}
	for name, tt := range map[string]struct {
		do   func(*tale)
		lost string
		want map[string]int
	}{
		"forgotten":                                    {forget, "before", map[string]int{}},
		"forgotten, and what follows is missing":       {forget, "behind", map[string]int{}},
		"forgotten, and that is missing":               {forget, "gone", map[string]int{"old": -3}},
		"forgotten, and that is history":               {compacted, "behind", map[string]int{}},
		"renamed":                                      {move, "before", map[string]int{"new": 3}},
		"renamed, and what follows is missing":         {move, "behind", map[string]int{"new": -3}},
		"renamed, and that is missing":                 {move, "gone", map[string]int{"old": -3}},
		"used again":                                   {again, "between", map[string]int{"old": 1}},
		"used again, and what follows is missing":      {again, "behind", map[string]int{"old": -1}},
		"used again, and that is missing":              {again, "again", map[string]int{}},
		"used again, and nobody saw it forgotten":      {again, "gone", map[string]int{"old": 1}},
		"used again, and nothing tells where it ended": {again, "heads", map[string]int{"old": -1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			commit(t, w.s, "old", 1, 3)
			must(t, w.s.MarkDelivered(t.Context(), store.Delivery{Sink: "bot", Account: "old", Version: 3}))
			commit(t, w.s, "main", 1, 2)
			w.backUp()
			w.another("before")
			tt.do(w)
			w.another("behind")
			w.step("last", w.s.Commit(t.Context(), next("main", 3)))
			w.damage(tt.lost)
			w.open()
			want := maps.Clone(tt.want)
			if want["main"] = 3; tt.lost == "heads" {
				want["main"] = -3
			}
			if got := w.versions(); !maps.Equal(got, want) {
				t.Errorf("came back: %v, want %v", got, want)
			}
		})
	}
}

// Between backups the one that goes further knows.
func TestOfTwoBackupsTheNewerKnows(t *testing.T) {
	w := begin(t)
	commit(t, w.s, "main", 1, 1)
	commit(t, w.s, "old", 1, 3)
	commit(t, w.s, "again", 1, 7)
	w.backUp()
	must(t, errors.Join(storetest.Forget(t.Context(), w.s, "old"), storetest.Forget(t.Context(), w.s, "again")))
	commit(t, w.s, "again", 1, 2)
	w.backUp()
	commit(t, w.s, "main", 2, 2)
	w.damage("file")
	w.open()
	if got, want := w.versions(), (map[string]int{"main": -1, "again": -2}); !maps.Equal(got, want) {
		t.Errorf("came back: %v, want %v", got, want)
	}
}

// A store in which nothing is left that counts is none that can't be restored.
func TestAllAreForgotten(t *testing.T) {
	w := begin(t)
	commit(t, w.s, "old", 1, 3)
	w.backUp()
	must(t, storetest.Forget(t.Context(), w.s, "old"))
	w.another("behind")
	w.another("last")
	w.damage("behind")
	w.open()
	if got := w.versions(); len(got) > 0 {
		t.Errorf("came back: %v", got)
	}
	commit(t, w.s, "old", 1, 1)
}

// Whoever puts another store's backup among the backups loses no account that the state
// file has: what that backup does not have was never there.
func TestABackupOfAnotherStoreTakesNothingAway(t *testing.T) {
	w, other := begin(t), begin(t)
	commit(t, w.s, "here", 1, 2)
	must(t, w.s.Intend(t.Context(), store.Intent{Account: "here", Attempt: "sent", Kind: "refresh", Version: 2, At: time.Now()}))
	w.damage("heads")
	commit(t, other.s, "there", 1, 9)
	other.backUp()
	must(t, os.MkdirAll(filepath.Join(w.dir, "backup"), 0o700))
	for _, backup := range store.Backups(other.dir) {
		must(t, os.WriteFile(filepath.Join(w.dir, "backup", filepath.Base(backup)), read(t, backup), 0o600))
	}
	w.open()
	if got, want := w.versions(), (map[string]int{"here": -2, "there": -9}); !maps.Equal(got, want) {
		t.Errorf("came back: %v, want %v", got, want)
	}
	if in, open, err := w.s.Intent(t.Context(), "here"); err != nil || !open || in.Attempt != "sent" {
		t.Errorf("that its refresh token was sent is forgotten: %+v, %t, %v", in, open, err)
	}
}

// What a snapshot does not have was not there, but only if all of the snapshot is.
func TestASnapshotThatIsNotWholeRemovesNothing(t *testing.T) {
	cutOff := func(b []byte, last, _ int) []byte { return b[:physical(0, last)] }
	for name, tt := range map[string]struct {
		harm    func(b []byte, last, end int) []byte
		follows bool
	}{
		"cut off":            {cutOff, true},
		"its end is missing": {withoutFrame, true},
		"its end is missing, and nothing follows": {withoutFrame, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			for n := range manyAccounts {
				commit(t, w.s, accountName(n), 1, 3)
			}
			w.backUp() // what was before is no history
			w.rewrite()
			if tt.follows {
				w.another("compacted")
			}
			b := read(t, w.file())
			frames, log := framesOf(b), logOf(b)
			last := 0 // the snapshot's last frame
			for n, at := range frames[:len(frames)-1] {
				if log[at+4] == 2 {
					last = n
				}
			}
			must(t, errors.Join(w.s.Close(), os.WriteFile(w.file(), tt.harm(b, frames[last], frames[last+1]), 0o600)))
			w.open()
			got, fromBackup := w.versions(), 0
			for _, a := range w.s.Restored().Accounts {
				if filepath.Dir(a.Source) == filepath.Join(w.dir, "backup") {
					fromBackup++
				}
			}
			if len(got) != manyAccounts || fromBackup == 0 {
				t.Errorf("came back: %v, %d from the backup", got, fromBackup)
			}
		})
	}
}
