package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// newLimitRig is a rig whose broker allows only so much.
func newLimitRig(t *testing.T, lifetime time.Duration, l sdk.Limits) *rig {
	r := newRig(t, lifetime, "one")
	r.broker.limits = l
	return r
}

// anew is the supervisor's death and its next start.
func (r *rig) anew(g *generation) *generation {
	r.t.Helper()
	g.kill()
	_ = g.end()
	r.restart()
	return r.start()
}

// mostInAnHour is how many of at were in the fullest hour.
func mostInAnHour(at []time.Time) (most int) {
	for n := range at {
		in := 0
		for _, other := range at[n:] {
			if other.Sub(at[n]) < time.Hour {
				in++
			}
		}
		most = max(most, in)
	}
	return most
}

func (b *broker) came() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.sentAt...)
}

// An account that needs more requests than its broker allows has no more, whatever is
// started anew when; it says why it waits; and one is left for a person.
func TestRequestsAnHourHoldOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 5}) // it needs ten
		g := r.start()
		waited := 0
		for step := range 24 * 60 / 7 {
			time.Sleep(7 * time.Minute)
			synctest.Wait()
			if s := r.status("one"); s.Waiting == promise.Limit {
				waited++
				if !strings.Contains(s.WaitingText, "4 of the 5 requests that it allows an hour were made since ") ||
					!strings.Contains(s.WaitingText, "tokenkeeper refresh one --force") {
					t.Fatal(s.WaitingText)
				}
			}
			if step%3 == 0 {
				g = r.anew(g)
			}
			r.keeper.Look()
			r.met()
		}
		if came := r.broker.came(); mostInAnHour(came) != 4 || len(came) < 24*4-6 {
			t.Errorf("%d in the fullest hour, %d in a day", mostInAnHour(came), len(came))
		}
		if waited < 50 {
			t.Errorf("seen waiting %d times", waited)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", false); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("asked without insisting: %v", err)
		}
		if did, err := r.keeper.Refresh(t.Context(), "one", true); !did || err != nil {
			t.Errorf("the one that is left: %v", err)
		}
		g = r.anew(g)
		synctest.Wait()
		_, err := r.keeper.Refresh(t.Context(), "one", true)
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "and it allows 5 an hour; the next can be sent ") {
			t.Errorf("one more: %v", err)
		}
		_, err = r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{})
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "nothing was begun") {
			t.Errorf("a login: %v", err)
		}
		time.Sleep(time.Hour)
		if n := mostInAnHour(r.broker.came()); n != 5 {
			t.Errorf("%d in the fullest hour", n)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

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

// What the broker has answered is taken, whatever was asked for before: it is the same
// call again.
func TestLimitKeepsNoAnswerBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
		g := r.start()
		r.broker.next("one", fault{die: spooled, kill: g.kill})
		if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		r.restart()
		g = r.start()
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 || len(r.broker.came()) != 1 {
			t.Errorf("version %d after %d requests", rec.Version, len(r.broker.came()))
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// What was not sent does not count, also if a process died before it sent.
func TestLimitCountsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
		g := r.start()
		r.broker.next("one", fault{die: beforeSend, kill: g.kill})
		if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		r.broker.setDown(true)
		g = r.start()
		time.Sleep(3 * time.Minute)
		r.broker.setDown(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 {
			t.Errorf("version %d, %+v", rec.Version, r.status("one"))
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// Codes that are none are spent up to the one before the broker locks the person out;
// that holds over restarts, and for an account without a token, too.
func TestFailedLoginsHoldOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute)
		r.broker.limits = sdk.Limits{FailedLoginsPerHour: 3, LockedOutFor: 4 * time.Hour}
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "new"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		g := r.start()
		synctest.Wait()
		for range 2 {
			if _, err := r.keeper.CompleteLogin(t.Context(), "new", r.beginLogin("new"), "wrong"); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			g = r.anew(g)
			synctest.Wait()
			time.Sleep(5 * time.Minute)
		}
		_, err := r.keeper.BeginLogin(t.Context(), "new", "", event.Caller{})
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "2 logins have failed since ") || !strings.Contains(err.Error(), "3 within an hour lock the account out") {
			t.Fatalf("a third one: %v", err)
		}
		time.Sleep(time.Hour)
		state := r.beginLogin("new")
		for range 2 {
			if _, err := r.keeper.CompleteLogin(t.Context(), "new", state, "wrong"); !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Fatal(err)
			}
			if state = ""; len(r.broker.failedAt) == 3 {
				state = r.beginLogin("new")
			}
		}
		if n := mostInAnHour(r.broker.failedAt); n != 2 {
			t.Errorf("%d failed in an hour", n)
		}
		time.Sleep(61 * time.Minute)
		if rec, err := r.keeper.CompleteLogin(t.Context(), "new", r.beginLogin("new"), "code-new"); err != nil || rec.Version != 1 {
			t.Error(err)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// limitedMint is a broker that locks out who presents a wrong key too often.
type limitedMint struct{ *mint }

func (b limitedMint) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := b.mint.Describe(ctx)
	d.Limits = sdk.Limits{FailedLoginsPerHour: 3, LockedOutFor: time.Hour}
	return d, err
}

// A mint that is refused is a login that failed, for an account without a token, too:
// before the one that could lock it out nothing is sent, by itself or by a person.
func TestRefusedMintsStopBeforeTheLockout(t *testing.T) {
	for _, refusal := range []error{sdk.ErrInvalidClient, sdk.ErrInvalidGrant} {
		synctest.Test(t, func(t *testing.T) {
			b := &mint{minter: newMinter(time.Hour, sdk.RepeatLimited)}
			refused := func(*spool.Slot) error { return refusal }
			b.next(refused, refused, nil)
			r := newMintRig(t, limitedMint{b}, time.Hour)
			g := r.start()
			synctest.Wait()
			if errors.Is(refusal, sdk.ErrInvalidGrant) { // it is not presented again by itself
				if _, err := r.keeper.Refresh(t.Context(), "main", true); !errors.Is(err, sdk.ErrInvalidGrant) {
					t.Fatal(err)
				}
			}
			time.Sleep(30 * time.Minute)
			g = r.anew(g)
			time.Sleep(25 * time.Minute)
			synctest.Wait()
			if n := b.requests(); n != 2 {
				t.Fatalf("%d requests", n)
			}
			_, err := r.keeper.Refresh(t.Context(), "main", true)
			if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "2 logins have failed since 2000-01-01 00:00 UTC, and 3 within an hour lock the account out") {
				t.Errorf("a person insists: %v", err)
			}
			if s := r.status("main"); errors.Is(refusal, sdk.ErrInvalidClient) && (s.Waiting != promise.Limit || !strings.Contains(s.WaitingText, "the next is safe 2000-01-01 01:0")) {
				t.Errorf("it waits: %q, %s", s.Waiting, s.WaitingText)
			}
			time.Sleep(7 * time.Minute)
			if r.status("main").Record.Version == 0 { // a key that was refused is not presented by itself
				if _, err := r.keeper.Refresh(t.Context(), "main", true); err != nil {
					t.Error(err)
				}
			}
			if rec := r.record("main"); rec.Version != 1 || b.requests() != 3 {
				t.Errorf("version %d after %d requests", rec.Version, b.requests())
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A code that came while a login was open is not used when the limit is reached
// meanwhile, and the login stays open.
func TestCodeWaitsForTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
		g := r.start()
		synctest.Wait()
		state := r.beginLogin("one")
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		_, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "the code was not used") {
			t.Errorf("%v", err)
		}
		if r.status("one").Login == nil || len(r.broker.came()) != 1 {
			t.Errorf("%d requests, %+v", len(r.broker.came()), r.status("one").Login)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// To ask whether a person is done is no request that gets a token.
func TestPollsAreNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		r.broker.limits = sdk.Limits{RequestsPerHour: 1, FailedLoginsPerHour: 2}
		guide.say(pending, slowDown, pending, pending)
		g := r.start()
		synctest.Wait()
		l := r.begin("one", sdk.LoginDevice)
		if _, err := r.await(l); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("the login counts: %v", err)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// Requests that the store has in the future, because the clock was set back, count for
// an hour, once.
func TestLimitAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 2})
		g := r.start()
		time.Sleep(20 * time.Minute)
		r.jumpBy(-10 * time.Hour)
		g = r.anew(g)
		time.Sleep(30 * time.Minute)
		g = r.anew(g)
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if came := r.broker.came(); len(came) != 4 || mostInAnHour(came) != 2 {
			t.Errorf("%d requests, %d in the fullest hour: %v", len(came), mostInAnHour(came), came)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// Whatever people, clocks, machines and processes do, no hour of the broker's has more
// requests than it allows, or more failed logins than it forgives.
func TestLimitsHoldWhateverHappens(t *testing.T) {
	moves := []string{
		"time passes", "time passes", "time passes", "a person insists", "a code is none", "a login", "the answer is lost", "the broker fails",
		"the process dies", "the supervisor dies", "the clock is set back", "the clock is set ahead", "the machine sleeps",
	}
	rapid.Check(t, func(rt *rapid.T) {
		ms := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) move {
			return move{rapid.SampledFrom(moves).Draw(rt, "what"), rapid.IntRange(1, 60).Draw(rt, "n")}
		}), 5, 40).Draw(rt, "moves")
		l := sdk.Limits{
			RequestsPerHour: rapid.IntRange(1, 8).Draw(rt, "requests"), FailedLoginsPerHour: rapid.IntRange(2, 4).Draw(rt, "failed"),
			LockedOutFor: time.Duration(rapid.IntRange(0, 3).Draw(rt, "hours")) * time.Hour,
		}
		var fault string
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 8*time.Minute, l)
			g := r.start()
			synctest.Wait()
			ahead := -1
			for _, m := range ms {
				g, ahead = r.move(g, m, ahead)
				synctest.Wait()
				came := r.broker.came()
				if n := mostInAnHour(came); n > l.RequestsPerHour {
					fault = fmt.Sprintf("%d requests in an hour: %v", n, came)
				}
				if n := mostInAnHour(r.broker.failedAt); n >= l.FailedLoginsPerHour {
					fault = fmt.Sprintf("%d failed logins in an hour: %v", n, r.broker.failedAt)
				}
			}
			_ = g.end()
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// move makes one. ahead is how many requests had come when the clock was set ahead: a
// supervisor that dies before the next one can't know that it was.
func (r *rig) move(g *generation, m move, ahead int) (*generation, int) {
	minutes := time.Duration(m.n) * time.Minute
	switch m.what {
	case "time passes":
		for range m.n {
			time.Sleep(time.Minute)
			r.keeper.Look()
		}
	case "a person insists":
		_, _ = r.keeper.Refresh(r.t.Context(), "one", true)
	case "a code is none", "a login":
		code := map[string]string{"a login": "code-one"}[m.what]
		if open, err := r.keeper.BeginLogin(r.t.Context(), "one", "", event.Caller{}); err == nil {
			_, state, _ := strings.Cut(open.URL, "state=")
			_, _ = r.keeper.CompleteLogin(r.t.Context(), "one", state, code)
		}
	case "the answer is lost":
		r.broker.next("one", fault{loseAnswer: true})
	case "the broker fails":
		r.broker.next("one", fault{refuse: unavailable})
	case "the process dies":
		g.kill()
		_ = g.end()
		g = r.start()
	case "the supervisor dies":
		if len(r.broker.came()) > ahead {
			return r.anew(g), -1
		}
	case "the clock is set back":
		r.jumpBy(-minutes * 5)
		r.keeper.Look()
	case "the clock is set ahead":
		r.jumpBy(minutes * 5)
		r.keeper.Look()
		ahead = len(r.broker.came())
	case "the machine sleeps":
		r.suspend(minutes)
		r.keeper.Look()
	}
	return g, ahead
}
