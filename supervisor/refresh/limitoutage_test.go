package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// outage lets the broker answer nothing but HTTP 503 for that long from the account's
// next request on.
func (b *broker) outage(lasts time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ails, b.ailing = lasts, time.Time{}
}

// deadFor is for how long the account has no living token while time passes.
func (r *rig) deadFor(d time.Duration) (dead time.Duration) {
	const step = 10 * time.Second
	for range d / step {
		time.Sleep(step)
		synctest.Wait()
		r.keeper.Look()
		if !r.record("one").Token.Valid(r.wall()) {
			dead += step
		}
	}
	return dead
}

// A short outage does not use up the hour: what is left is spread up to the token's
// end, the last is kept for it, and what is left for a person is used before it dies.
func TestOutageLeavesRequests(t *testing.T) {
	for lasts, requests := range map[time.Duration]int{15 * time.Second: 2, 110 * time.Second: 3, 230 * time.Second: 5} {
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 5}) // it needs four
			g := r.start()
			time.Sleep(14 * time.Minute)
			r.broker.outage(lasts)
			if dead := r.deadFor(6 * time.Minute); dead > 0 {
				t.Errorf("an outage of %s: no living token for %s", lasts, dead)
			}
			if n := len(r.broker.came()); n != requests || r.record("one").Version != 2 {
				t.Errorf("an outage of %s: %d requests, version %d, %+v", lasts, n, r.record("one").Version, r.status("one"))
			}
			if n := mostInAnHour(r.broker.came()); n > 5 {
				t.Errorf("%d in an hour", n)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An outage at the worst moment, when the hour's requests are as good as used, costs no
// token either.
func TestOutageAmongOrdinaryRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 5})
		g := r.start()
		if dead := r.deadFor(150 * time.Minute); dead > 0 {
			t.Fatalf("no living token for %s without any outage", dead)
		}
		r.broker.outage(15 * time.Second)
		if dead := r.deadFor(3 * time.Hour); dead > 0 {
			t.Errorf("no living token for %s", dead)
		}
		if came := r.broker.came(); mostInAnHour(came) > 5 {
			t.Errorf("%v", came)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// Until the grace for a lost answer is over, what the broker allows is used, spread over
// it, what is left for a person included: with it goes the login.
func TestGraceIsUsedToItsEnd(t *testing.T) {
	for _, l := range []sdk.Limits{{}, {RequestsPerHour: 5}, {RequestsPerHour: 2}} {
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 20*time.Minute, l)
			r.broker.grace = 2 * time.Minute
			g := r.start()
			time.Sleep(14 * time.Minute)
			old := r.record("one").Token
			still := func() { r.broker.expect("one", old) } // it takes it, as it says
			lost := fault{before: still, refuse: &sdk.Error{Kind: sdk.KindAmbiguous, Message: "lost"}}
			r.broker.next("one", fault{loseAnswer: true}) // it has replaced it
			if l.RequestsPerHour != 2 {
				r.broker.next("one", lost, lost, lost)
			}
			r.broker.next("one", fault{before: still})
			time.Sleep(time.Minute)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			came := r.broker.came()
			if rec := r.record("one"); rec.Version != 2 || came[len(came)-1].Sub(came[0]) >= 108*time.Second {
				t.Errorf("%+v: version %d after requests at %v", l, rec.Version, came)
			}
			if n := l.RequestsPerHour; n > 0 && len(came) > n {
				t.Errorf("%+v: %d requests", l, len(came))
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}
