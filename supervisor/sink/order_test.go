package sink_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// step is one thing that happens to a sink, drawn before the bubble begins.
type step struct {
	what    string
	account string
	fate    fate
	pause   time.Duration
}

func (s step) String() string {
	return fmt.Sprintf("%s %s fate %d, then %s", s.what, s.account, s.fate, s.pause)
}

var anyStep = rapid.Custom(func(t *rapid.T) step {
	return step{
		what: rapid.SampledFrom([]string{
			"refresh", "refresh", "refresh", "wake", "alert", "alert", "fate", "fate",
			"restart", "crash", "disable", "enable", "redeliver", "test",
		}).Draw(t, "what"),
		account: fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "account")),
		fate:    fate(rapid.IntRange(0, int(fates)-1).Draw(t, "fate")),
		pause:   time.Duration(rapid.IntRange(0, 40).Draw(t, "pause")) * time.Second / 2,
	}
})

func TestOrderAndAtLeastOnceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(anyStep, 1, 60).Draw(rt, "steps")
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = live(t, steps) })
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

// live lets the steps happen, and then everything be well for a while.
func live(t *testing.T, steps []step) (faults []string) {
	r, on, out := newRecords(), newBoard(), newTally()
	b := start(t, both("bot", out, on), r)
	for _, s := range steps {
		switch s.what {
		case "refresh":
			b.refresh(s.account)
		case "wake":
			b.Wake(s.account)
		case "alert":
			b.raise(on, s.account, states[int(s.fate)%len(states)])
		case "fate":
			out.be(s.fate)
		case "restart":
			b.stop()
			b = start(t, both("bot", out, on), r)
		case "crash": // the ledger loses what was not committed yet
			ledger := r.copyLedger()
			pass(time.Second / 2)
			b.stop()
			r.set(func(r *records) { r.ledger = ledger })
			b = start(t, both("bot", out, on), r)
		case "disable":
			b.Disable("somebody")
		case "enable":
			b.Enable()
		case "redeliver":
			_, _ = b.Redeliver(t.Context(), s.account)
		case "test":
			ctx, cancel := context.WithTimeout(t.Context(), s.pause)
			_, _ = b.Test(ctx)
			cancel()
		}
		pass(s.pause)
		if b.Miscounted() {
			faults = append(faults, "the summary does not tell of every account after: "+s.what)
		}
	}
	out.be(healthy)
	b.Enable()
	pass(time.Hour)
	faults = append(faults, append(out.lacks(r, on), out.faults...)...)
	if s := b.Summary(); s.Behind+s.Failing+s.OpenNotices > 0 || s.Accounts != len(r.recs) || s.Absent {
		faults = append(faults, fmt.Sprintf("the summary in the end: %+v", s))
	}
	// A person's wish is granted, once, and nothing is delivered unasked.
	for key := range out.last {
		before := out.count[key]
		if n, err := b.Redeliver(t.Context(), key); n != 1 || err != nil {
			faults = append(faults, fmt.Sprintf("redelivering %s: %d, %v", key, n, err))
		}
		pass(time.Second)
		if got := out.count[key] - before; got != 1 {
			faults = append(faults, fmt.Sprintf("%s was redelivered %d times", key, got))
		}
	}
	return faults
}

func (r *records) copyLedger() map[string]map[string]store.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	ledger := map[string]map[string]store.Delivery{}
	for name, lines := range r.ledger {
		ledger[name] = map[string]store.Delivery{}
		maps.Copy(ledger[name], lines)
	}
	return ledger
}

// Test is for the steps: it counts as a delivery in that none may overlap it.
func (s *tally) Test(ctx context.Context, d sink.Delivery) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := d.Document.Account
	if s.inside[key] {
		s.fault("a test of %s during a delivery", key)
	}
	s.inside[key] = true
	defer func() { s.inside[key] = false }()
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	return "waited", nil
}
