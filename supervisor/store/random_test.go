package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// Whatever fails in whichever order: a version that was acknowledged is never
// lost, and no version goes back.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	// Time is simulated for the pause after which a fresh file is tried again.
	synctest.Test(t, func(t *testing.T) {
		place := fastDir(t)
		runs, faults, refused := 0, 0, 0
		// The deadline of the test is in real time and hidden.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			runs++
			disk := filepath.Join(place, fmt.Sprint(runs))
			r := &faulty{disk: disk, dir: filepath.Join(disk, "state"), acked: map[string]uint64{}, tried: map[string]uint64{}}
			if rapid.Bool().Draw(rt, "with a fallback") {
				r.fallback = r.disk + "-fallback"
			}
			r.open(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"commit":     r.commit,
				"more":       r.commit,
				"break file": func(*rapid.T) { r.store.BreakFile(); faults++ },
				"break tree": func(*rapid.T) { r.store.StopWrites(); faults++ },
				"disk goes":  r.goAway,
				"disk comes": r.comeBack,
				"meddle":     r.meddle,
				"look":       func(*rapid.T) { r.store.Look() },
				"wait":       func(*rapid.T) { time.Sleep(store.RetryAfter) },
				"back up":    func(rt *rapid.T) { r.mayFail(rt, r.store.Backup(t.Context())) },
				"die":        r.die,
				"":           func(rt *rapid.T) { r.check(rt, r.acked) },
			})
			r.store.Die()
			refused += r.refused
		})
		t.Logf("%d runs, %d faults, %d writes refused", runs, faults, refused)
		if runs > 20 && (faults == 0 || refused == 0) {
			t.Error("hardly anything failed")
		}
	})
}

type faulty struct {
	disk, dir, fallback string

	store *store.Journal
	away  bool
	// acked is the last version of each account that Commit acknowledged, and
	// tried the last that it was called with.
	acked, tried map[string]uint64
	refused      int
	olds         int // names of what was moved away
}

func (r *faulty) open(rt *rapid.T) {
	s, err := store.Open(r.dir, store.Options{Fallback: r.fallback, Timeout: time.Millisecond})
	if err != nil {
		rt.Fatal(err)
	}
	if s.Restored() != nil {
		rt.Fatalf("restored: %+v", s.Restored())
	}
	r.store = s
}

// mayFail checks that nothing fails without a reason, or in another way.
func (r *faulty) mayFail(rt *rapid.T, err error) {
	if err == nil {
		return
	}
	r.refused++
	if !errors.Is(err, store.ErrDisk) {
		rt.Fatal(err)
	}
	if !r.away && r.store.Fault() == nil {
		rt.Fatalf("refused by a good disk: %v", err)
	}
	if r.fallback != "" {
		rt.Fatalf("refused although there is a fallback: %v", err)
	}
}

func (r *faulty) commit(rt *rapid.T) {
	account := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "account")
	version := r.acked[account] + 1
	attempt := fmt.Sprint("attempt-", version)
	if err := r.store.Intend(rt.Context(), store.Intent{Account: account, Attempt: attempt, Version: version - 1}); err != nil {
		r.mayFail(rt, err)
		return
	}
	rec := next(account, version)
	rec.Attempt = attempt
	r.tried[account] = version
	if err := r.store.Commit(rt.Context(), rec); err != nil {
		r.mayFail(rt, err)
		return
	}
	r.acked[account] = version
}

func (r *faulty) goAway(rt *rapid.T) {
	if !r.away {
		r.away = os.Rename(r.disk, r.disk+"-gone") == nil
		r.store.BreakFile()
	}
}

func (r *faulty) comeBack(rt *rapid.T) {
	if r.away {
		r.away = os.Rename(r.disk+"-gone", r.disk) != nil
	}
}

// meddle does something to the state file, or to its directory, and has it
// noticed: what nobody has looked at may be lost with the process.
func (r *faulty) meddle(rt *rapid.T) {
	if r.away || r.store.Path() != filepath.Join(r.dir, store.FileName) || r.store.Fault() != nil {
		return
	}
	what := rapid.SampledFrom(meddlings).Draw(rt, "meddling")
	r.olds++
	what.do(rt, r.dir, fmt.Sprint(r.disk, "-old-", r.olds))
	if rapid.Bool().Draw(rt, "looked at") {
		r.store.Look()
		return
	}
	if err := r.store.Close(); err != nil {
		rt.Fatal(err)
	}
	r.open(rt)
}

// die ends the process and starts it again. What was not acknowledged may be
// there then, whole.
func (r *faulty) die(rt *rapid.T) {
	r.comeBack(rt)
	r.store.Die()
	r.open(rt)
	found := map[string]uint64{}
	list, err := storetest.Records(rt.Context(), r.store)
	if err != nil {
		rt.Fatal(err)
	}
	for _, rec := range list {
		found[rec.Account] = rec.Version
	}
	for account, acked := range r.acked {
		if found[account] < acked {
			rt.Fatalf("%s had version %d, and has %d now", account, acked, found[account])
		}
	}
	for account, version := range found {
		if version != r.acked[account] && version != r.tried[account] {
			rt.Fatalf("%s has version %d, which nobody tried to store", account, version)
		}
		r.acked[account] = version
	}
	// An attempt that was under way may stand.
	for _, account := range []string{"a", "b", "c"} {
		if in, ok, _ := r.store.Intent(rt.Context(), account); ok {
			if err := r.store.Abandon(rt.Context(), account, in.Attempt, in.Basis(), store.Health{}); err != nil {
				rt.Fatal(err)
			}
		}
	}
}

func (r *faulty) check(rt *rapid.T, want map[string]uint64) {
	list, err := storetest.Records(rt.Context(), r.store)
	if err != nil {
		rt.Fatal(err)
	}
	seen := 0
	for _, rec := range list {
		seen++
		if rec.Version != want[rec.Account] || !rec.Token.RefreshToken.Equal(storetest.Token(rec.Account, rec.Version).RefreshToken) {
			rt.Fatalf("%s has version %d, want %d", rec.Account, rec.Version, want[rec.Account])
		}
	}
	if seen != len(want) {
		rt.Fatalf("%d accounts, want %d", seen, len(want))
	}
}
