package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestAccountsStayValidForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two", "three")
		g := r.start()
		for range 24 * 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, a := range r.accounts {
				if s := r.status(a.Name); s.State != refresh.Valid || s.Record.Token.Expiry().Before(time.Now().Add(4*time.Minute)) {
					t.Fatalf("%s: account %s is %s, expiry %s", time.Now(), a.Name, s.State, s.Record.Token.Expiry())
				}
			}
		}
		if err := g.end(); err != nil {
			t.Fatal(err)
		}
		// 15 minutes of each 20 pass before a refresh: 96 a day.
		if n := r.record("one").Version; n < 95 || n > 100 {
			t.Errorf("a day took %d versions, want about 97", n)
		}
		if twice := r.broker.sentTwice(); len(twice) > 0 {
			t.Errorf("sent twice: %v", twice)
		}
	})
}

func TestOnlyWhatIsDueIsRefreshedAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "due", "fresh")
		time.Sleep(16 * time.Minute)
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "fresh", Token: r.broker.grant("fresh")}, true); err != nil {
			t.Fatal(err)
		}
		r.restart()
		g := r.start()
		synctest.Wait()
		if v := r.record("due").Version; v != 2 {
			t.Errorf("the account that was due is at version %d, want 2", v)
		}
		if v := r.record("fresh").Version; v != 2 {
			t.Errorf("the account that was not due is at version %d, want 2", v)
		}
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		_ = g.end()
	})
}

// A process that dies in any window of an attempt: what is known afterwards,
// and that no refresh token is sent twice unless nobody could know better.
func TestDeathInEachWindow(t *testing.T) {
	for _, tt := range []struct {
		window    window
		name      string
		ambiguous bool
		twice     int
		version   uint64
		state     refresh.State
	}{
		{beforeSend, "before the send", false, 0, 2, refresh.Valid},
		{sent, "sent", true, 1, 1, refresh.NeedsLogin},
		{answered, "answered, not spooled", true, 1, 1, refresh.NeedsLogin},
		{spooled, "spooled", false, 0, 2, refresh.Valid},
	} {
		for _, supervisor := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, supervisor too: %t", tt.name, supervisor), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					defer r.watch()()
					g := r.start()
					r.broker.next("one", fault{die: tt.window, kill: func() { g.kill() }})
					time.Sleep(15*time.Minute + time.Second)
					if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
						t.Fatalf("the loop returned %v, want a lost connection", err)
					}
					if supervisor {
						r.restart()
					}
					g = r.start()
					time.Sleep(time.Minute)
					synctest.Wait()
					if s := r.status("one"); s.State != tt.state || s.Record.Version != tt.version {
						t.Errorf("state %s at version %d, want %s at %d", s.State, s.Record.Version, tt.state, tt.version)
					}
					if got := r.count(event.Ambiguous) > 0; got != tt.ambiguous {
						t.Errorf("ambiguous: %t, want %t", got, tt.ambiguous)
					}
					if n := len(r.broker.sentTwice()); n != tt.twice {
						t.Errorf("%d refresh tokens were sent twice, want %d", n, tt.twice)
					}
					if tt.state == refresh.Valid && !r.broker.holds("one", r.record("one").Token.RefreshToken) {
						t.Error("the record does not hold the refresh token that works")
					}
					_ = g.end()
				})
			})
		}
	}
}

func TestLostAnswerIsTriedOnceMoreAndToldPlainly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.broker.next("one", fault{loseAnswer: true})
		g := r.start()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if s := r.status("one"); s.AmbiguousSince.IsZero() || s.State != refresh.Retrying {
			t.Errorf("after a lost answer: state %s, ambiguous since %s", s.State, s.AmbiguousSince)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.NeedsLogin || !s.AmbiguousSince.IsZero() {
			t.Errorf("after the second try: state %s, ambiguous since %s", s.State, s.AmbiguousSince)
		}
		var said string
		r.mu.Lock()
		for _, e := range r.events {
			if e.Type == event.NeedsLogin {
				said = e.Message
			}
		}
		r.mu.Unlock()
		for _, want := range []string{"answer was lost", "tokenkeeper login one"} {
			if !strings.Contains(said, want) {
				t.Errorf("the message %q does not say %q", said, want)
			}
		}
		// It stays that way: the server is not hammered, nothing is deleted.
		before := r.broker.count()
		time.Sleep(24 * time.Hour)
		if n := r.broker.count(); n != before {
			t.Errorf("%d more requests after invalid_grant", n-before)
		}
		if r.record("one").Token.RefreshToken.IsZero() {
			t.Error("the refresh token is gone")
		}
		// A new login heals it, and says so.
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 {
			t.Errorf("after the import: %s at version %d", s.State, s.Record.Version)
		}
		_ = g.end()
	})
}

func TestTransientFailuresBackOffAlertAndRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "other")
		defer r.watch()()
		down := fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}}
		r.broker.next("one", down, down, down, down, down, down, down)
		if changed := r.keeper.Changed(); !changed["one"] || !changed["other"] {
			t.Errorf("a first token is a change, and this has changed: %v", changed)
		}
		g := r.start()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Retrying || s.Record.Health.Failures != 1 {
			t.Errorf("after one failure: %s with %d failures", s.State, s.Record.Health.Failures)
		}
		time.Sleep(4*time.Minute + 58*time.Second)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Health.Failures != 0 {
			t.Errorf("seven failures did not fit into the time left: %s, %d failures", s.State, s.Record.Health.Failures)
		}
		if n := r.count(event.RefreshFailed); n != 7 || !r.nudged() {
			t.Errorf("%d failures are told, want 7; or nobody looks", n)
		}
		if changed := r.keeper.Changed(); !changed["one"] || changed["other"] || len(r.keeper.Changed()) > 0 {
			t.Errorf("changed: %v", changed)
		}
		if n := r.record("other").Version; n != 2 {
			t.Errorf("the other account is at version %d, want 2", n)
		}
		_ = g.end()
	})
}

func TestFailuresSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		down := fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}}
		r.broker.next("one", down, down)
		g := r.start()
		time.Sleep(15*time.Minute + 4*time.Second)
		_ = g.end()
		r.restart()
		if h := r.status("one").Record.Health; h.Failures != 2 || h.LastError != "503" {
			t.Errorf("a new supervisor knows of %d failures, last %q; want 2, 503", h.Failures, h.LastError)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindRateLimited, Message: "429", RetryAfter: 3 * time.Minute}})
		g := r.start()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		before := r.broker.count()
		time.Sleep(2*time.Minute + 50*time.Second)
		if n := r.broker.count(); n != before {
			t.Errorf("%d requests before Retry-After was over", n-before)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != before+1 {
			t.Errorf("%d requests after Retry-After, want 1", n-before)
		}
		_ = g.end()
	})
}

func TestMisconfigurationIsTriedSlowlyAndToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		bad := fault{refuse: &sdk.Error{Kind: sdk.KindInvalidClient, Message: "invalid_client", HTTPStatus: 401}}
		for range 100 {
			r.broker.next("one", bad)
		}
		g := r.start()
		time.Sleep(75 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.Record.Health.LastKind != sdk.KindInvalidClient || !r.nudged() {
			t.Errorf("nothing for an alert: %+v", s.Record.Health)
		}
		if n := r.broker.count(); n > 8 {
			t.Errorf("%d requests in an hour with refused credentials", n)
		}
		_ = g.end()
	})
}

func TestRefreshInFlightEndsBeforeTheGenerationDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		notice, proceed := make(chan struct{}), make(chan struct{})
		r.broker.next("one", fault{notice: notice, proceed: proceed})
		g := r.start()
		<-notice
		g.stop()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		select {
		case err := <-g.done:
			t.Fatalf("the loop ended (%v) with a refresh in flight", err)
		default:
		}
		if n := r.keeper.InFlight(); n != 1 {
			t.Errorf("%d in flight, want 1", n)
		}
		close(proceed)
		if err := g.end(); err != nil {
			t.Fatal(err)
		}
		if v := r.record("one").Version; v != 2 {
			t.Errorf("version %d, want 2: the answer was lost", v)
		}
	})
}

func TestAtMostMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 20)
		for i := range names {
			names[i] = fmt.Sprintf("a%02d", i)
		}
		r := newRig(t, 20*time.Minute, names...)
		proceed := make(chan struct{})
		for _, name := range names {
			r.broker.next(name, fault{notice: make(chan struct{}), proceed: proceed})
		}
		g := r.start()
		time.Sleep(15*time.Minute + 10*time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 4 {
			t.Errorf("%d requests are open, want 4", n)
		}
		close(proceed)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, name := range names {
			if v := r.record(name).Version; v != 2 {
				t.Errorf("account %s is at version %d, want 2", name, v)
			}
		}
		_ = g.end()
	})
}

// A machine that slept for eight hours: timers stood still, the wall clock
// did not.
func TestClockJumpsReplanAtOnce(t *testing.T) {
	for _, jump := range []time.Duration{8 * time.Hour, time.Hour, -time.Hour, -24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				g := r.start()
				time.Sleep(5 * time.Minute)
				r.jumpBy(jump)
				r.keeper.Look()
				synctest.Wait()
				want := uint64(1)
				if jump > 0 {
					want = 2
				}
				if v := r.record("one").Version; v != want {
					t.Errorf("right after the jump: version %d, want %d", v, want)
				}
				if n := r.count(event.ClockJumped); n != 1 {
					t.Errorf("the jump was told %d times, want once", n)
				}
				// Whatever the wall clock says, real time goes on as before.
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				if v := r.record("one").Version; v != 2 {
					t.Errorf("16 minutes after the first token: version %d, want 2", v)
				}
				_ = g.end()
			})
		})
	}
}

// A process that hangs while it is idle is found out before a refresh token is
// entrusted to it.
func TestNothingIsSentThroughAProcessThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		time.Sleep(10 * time.Minute)
		r.hang(true)
		time.Sleep(5*time.Minute + 10*time.Second)
		synctest.Wait()
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil {
			t.Errorf("an attempt was announced for a process that hangs (%t, %v)", open, err)
		}
		r.mu.Lock()
		probes := r.probes
		r.mu.Unlock()
		if probes == 0 {
			t.Error("nobody was asked to look at the process")
		}
		r.hang(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if v := r.record("one").Version; v != 2 {
			t.Errorf("version %d after the process answered again, want 2", v)
		}
		_ = g.end()
	})
}
