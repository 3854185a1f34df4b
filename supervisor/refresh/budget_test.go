package refresh_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// newBudgetRig is a rig of tokens that live for 20 minutes and are refreshed 5 before their
// end, at a broker where that costs nothing, with an account that has a budget.
func newBudgetRig(t *testing.T, b refresh.Budget) *rig {
	r := newRig(t, 20*time.Minute, "one")
	r.broker.keeps, r.broker.lives = true, true
	r.accounts[0].Budget = b
	r.restart()
	return r
}

// between are the times between requests.
func between(at []time.Time) (gaps []time.Duration) {
	for n := range at[1:] {
		gaps = append(gaps, at[n+1].Sub(at[n]))
	}
	return gaps
}

// An account with a budget is refreshed evenly, as often as that says and no more rarely
// than its tokens need it, over restarts too; its jitter makes it hardly more.
func TestBudgetRefreshesEvenly(t *testing.T) {
	for _, tt := range []struct {
		perHour                int
		jitter                 time.Duration
		shortest, gap, planned time.Duration
	}{
		{perHour: 12, shortest: 5 * time.Minute, gap: 5 * time.Minute, planned: 15 * time.Minute},
		{perHour: 60, shortest: time.Minute, gap: time.Minute, planned: 19 * time.Minute}, // a quarter of the life is longer
		{perHour: 60, jitter: time.Hour, shortest: 54 * time.Second, gap: time.Minute, planned: 19 * time.Minute},
		{perHour: 4, shortest: 15 * time.Minute, gap: 15 * time.Minute, planned: 5 * time.Minute},
		{perHour: 1, shortest: 15 * time.Minute, gap: 15 * time.Minute, planned: 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newBudgetRig(t, refresh.Budget{PerHour: tt.perHour})
			r.accounts[0].Jitter = tt.jitter
			r.restart()
			g := r.start()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if got := r.status("one").Planned; got != tt.planned {
				t.Errorf("%d/h: at least %s are planned, want %s", tt.perHour, got, tt.planned)
			}
			g = r.anew(g)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			gaps := between(r.broker.came())
			if len(gaps) < int(4*time.Hour/tt.gap)-2 || slices.Min(gaps) < tt.shortest || slices.Max(gaps) > tt.gap+time.Second {
				t.Errorf("%d/h: %d refreshes in four hours, between %s and %s apart", tt.perHour, len(gaps)+1, slices.Min(gaps), slices.Max(gaps))
			}
			r.met()
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where a refresh may cost a login, or the token that consumers hold, or nobody knows, a
// budget is not heard unless somebody has taken that risk.
func TestBudgetIsNotHeardWhereItCosts(t *testing.T) {
	for name, tt := range map[string]struct {
		keeps, lives, kills bool
		grace               time.Duration
		plain               time.Duration // between two refreshes; 5m: the budget is heard anyway
	}{
		"the refresh token and the access token stay":  {keeps: true, lives: true, plain: 5 * time.Minute},
		"one that is replaced is taken for a while":    {lives: true, grace: time.Minute, plain: 5 * time.Minute},
		"that while is shorter than an attempt":        {lives: true, grace: 38 * time.Second, plain: 15 * time.Minute},
		"one that is replaced is dead":                 {lives: true, plain: 15 * time.Minute},
		"the access token dies":                        {keeps: true, kills: true, plain: 19 * time.Minute},
		"nobody knows what becomes of it":              {keeps: true, plain: 15 * time.Minute},
		"nobody knows, and there is a grace":           {grace: time.Minute, plain: 15 * time.Minute},
		"everything that speaks against it":            {kills: true, plain: 19 * time.Minute},
		"the provider contradicts itself: the careful": {keeps: true, lives: true, kills: true, plain: 19 * time.Minute},
	} {
		for _, accepted := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := newBudgetRig(t, refresh.Budget{PerHour: 12, AcceptRisk: accepted})
				r.broker.keeps, r.broker.lives, r.broker.kills, r.broker.grace = tt.keeps, tt.lives, tt.kills, tt.grace
				g := r.start()
				time.Sleep(4 * time.Hour)
				synctest.Wait()
				want := tt.plain
				if accepted {
					want = 5 * time.Minute
				}
				if gaps := between(r.broker.came()); len(gaps) < 8 || slices.Min(gaps[1:]) != want || slices.Max(gaps[1:]) != want {
					t.Errorf("%s, accepted %t: refreshed after %v, want %s", name, accepted, gaps, want)
				}
				if got := r.status("one").Planned; got != 20*time.Minute-want {
					t.Errorf("%s, accepted %t: at least %s are planned", name, accepted, got)
				}
				if err := g.end(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A budget counts into what the broker allows, and leaves of that what the account needs
// and what is a person's: it is evenly less then, and nothing waits because of it.
func TestBudgetLeavesWhatTheBrokerAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBudgetRig(t, refresh.Budget{PerHour: 60})
		r.broker.limits = sdk.Limits{RequestsPerHour: 6} // it needs four
		g := r.start()
		for range 6 * 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if s := r.status("one"); s.Waiting == promise.Limit {
				t.Fatalf("it waits for the limit: %s", s.WaitingText)
			}
			r.keeper.Look()
		}
		came := r.broker.came()
		if gaps := between(came); mostInAnHour(came) != 5 || slices.Min(gaps[1:]) < 12*time.Minute || slices.Max(gaps[1:]) > 13*time.Minute {
			t.Errorf("%d in the fullest hour, after %v", mostInAnHour(came), gaps)
		}
		if did, err := r.keeper.Refresh(t.Context(), "one", true); !did || err != nil {
			t.Errorf("a person's: %v", err)
		}
		if dead := r.deadFor(2 * time.Hour); dead > 0 {
			t.Errorf("no living token for %s", dead)
		}
		r.broker.outage(230 * time.Second)
		if dead := r.deadFor(3 * time.Hour); dead > 0 {
			t.Errorf("an outage: no living token for %s", dead)
		}
		if came := r.broker.came(); mostInAnHour(came) > 6 {
			t.Errorf("%d in the fullest hour", mostInAnHour(came))
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// A token that was minted where others are refreshed is followed by a mint, which ends it.
func TestBudgetIsNotHeardWhereTheNextIsMinted(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, b := newMintsAndRig(t)
			b.bare.Store(true)
			r.broker.keeps, r.broker.lives = true, true
			r.accounts[0].Budget = refresh.Budget{PerHour: 12, AcceptRisk: accepted}
			r.restart()
			g := r.start()
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			if n := b.requests(); n > 6 != accepted {
				t.Errorf("accepted %t: %d mints in three hours of tokens that live for one", accepted, n)
			}
			if l := r.keeper.Load(); l.Needed > 1/(10*time.Minute).Seconds() != accepted {
				t.Errorf("accepted %t: %v refreshes a second are needed", accepted, l.Needed)
			}
			if got := r.status("main").Planned; got > 15*time.Minute != accepted {
				t.Errorf("accepted %t: at least %s are planned", accepted, got)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Budgets that are more than there is room for in flight take no turn from an account that
// needs one, and have what is left.
func TestBudgetsGiveWayToNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"one"} // has none
		for i := range 160 {
			names = append(names, fmt.Sprintf("a%03d", i))
		}
		r := newRig(t, 20*time.Minute, names...)
		r.broker.keeps, r.broker.lives = true, true
		for i := range r.accounts[1:] {
			r.accounts[1+i].Budget = refresh.Budget{PerHour: 60}
		}
		r.restart()
		r.broker.setTakes(20 * time.Second) // twelve a minute are possible, eleven needed, and 160 wanted
		g := r.start()
		if dead := r.deadFor(4 * time.Hour); dead > 0 {
			t.Errorf("no living token for %s where there is no budget", dead)
		}
		for _, name := range names {
			if !r.record(name).Token.Valid(r.wall()) {
				t.Errorf("%s has no living token", name)
			}
		}
		if n := len(r.broker.came()); n < 4*60*12-60 {
			t.Errorf("%d refreshes: there was room for more", n)
		}
		if l := r.keeper.Load(); l.Overloaded(r.wall()) {
			t.Errorf("overloaded by what nobody needs: %+v", l)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}
