package alert

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// run runs a test in simulated time and ends its engine.
func run(t *testing.T, body func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { // after a t.Fatal too, or the bubble panics over what runs on
			if w.stop != nil {
				w.stop()
				<-w.ended
			}
		}()
		body(t, w)
	})
}

func needsLogin(a *Account) { a.NeedsLogin, a.LastError = true, "invalid_grant" }
func loggedIn(a *Account)   { a.Renewed, a.StoredAt = true, time.Now() }
func calm(*Account)         {}

func TestLifeOfAnAlert(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(w.account(calm))
		w.start()
		w.none()
		began := time.Now()
		w.set(w.account(needsLogin))
		raised := w.want(event.AlertRaised, true)
		if raised.Account != "main" || raised.Provider != "schwab" || raised.Type != event.NeedsLogin || raised.Key != "needs_login:schwab" || raised.Accounts != 1 ||
			!raised.Since.Equal(began) || !strings.HasSuffix(raised.Message, "log in with: tokenkeeper login main") {
			t.Errorf("raised: %+v", raised)
		}
		if len(w.woken) != 1 || w.woken[0] != raised.Key {
			t.Errorf("woken: %v", w.woken)
		}
		for range 50 { // more looks do not tell it again
			w.look()
		}
		w.pass(4*time.Hour - 30*time.Second)
		if a := w.want(event.AlertRaised, true); a.Version != raised.Version {
			t.Errorf("told again: %+v", a)
		}
		w.pass(30 * time.Second)
		repeated := w.want(event.AlertRepeated, true)
		if repeated.Version <= raised.Version || !repeated.Since.Equal(began) || !strings.Contains(repeated.Message, "still, since 2000-01-01 00:00 UTC: account main needs a login") {
			t.Errorf("repeated: %+v", repeated)
		}
		w.pass(9 * time.Hour)
		if len(w.woken) != 4 {
			t.Errorf("woken %d times in 13 hours, want 4", len(w.woken))
		}
		w.set(w.account(loggedIn))
		over := w.want(event.AlertRecovered, true)
		if over.Message != "over after 13 h 0 min: account main is logged in again" || !over.Since.Equal(began) || !over.ChangedAt.Equal(time.Now()) {
			t.Errorf("recovered: %+v", over)
		}
		w.pass(time.Hour) // it waits for the sink
		w.want(event.AlertRecovered, true)
		w.tell("chat")
		w.look()
		w.none()
		// The next one is another.
		w.set(w.account(needsLogin))
		if next := w.want(event.AlertRaised, true); next.Version <= over.Version {
			t.Errorf("version %d after %d", next.Version, over.Version)
		}
	})
}

// set2 changes how things stand before there is an engine.
func (w *world) set2(change func(*Snapshot)) { change(&w.shot) }

func TestNoRepeat(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy.Repeat = 0
		w.set2(w.account(needsLogin))
		w.start()
		w.pass(48 * time.Hour)
		w.want(event.AlertRaised, true)
	})
}

// A sink that can't be told does not keep an alert for ever.
func TestForgotten(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"dead"}
		w.set2(w.account(needsLogin))
		w.start()
		w.set(w.account(loggedIn))
		w.pass(24*time.Hour - 30*time.Second)
		w.want(event.AlertRecovered, true)
		w.pass(30 * time.Second)
		w.none()
	})
}

// What was raised before the supervisor died is told after it, with the same
// version, and not called over before that is known.
func TestRestart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		failing := func(a *Account) { a.Failures = 3 }
		w.set2(w.account(failing))
		w.start()
		before := w.want(event.AlertRaised, true)
		w.die()
		for _, unknown := range []func(*Account){
			func(a *Account) { a.Failures = 1 },
			func(a *Account) { a.StoredAt = time.Time{} },
			// An attempt that was never settled has left no failure.
			func(a *Account) { a.StoredAt = before.Since.Add(-time.Minute) },
		} {
			w.set2(w.account(unknown))
			time.Sleep(time.Second)
			w.start()
			w.pass(10 * time.Minute)
			if a := w.want(event.AlertRaised, true); !same(a, before) {
				t.Errorf("after a restart: %+v, want %+v", a, before)
			}
			w.die()
		}
		w.start()
		if told := w.tell("chat"); len(told) != 1 || !same(told[0], before) {
			t.Errorf("told: %+v", told)
		}
		w.die()
		// It went well between the end of the last run and this one.
		w.set2(w.account(calm))
		w.start()
		w.want(event.AlertRecovered, true)
		w.die()
		w.start()
		if told := w.tell("chat"); len(told) != 1 || told[0].State != event.AlertRecovered {
			t.Errorf("told: %+v", told)
		}
		w.look()
		w.none()
	})
}

// Of a login that ends at a moment that nobody knows a person is told, once.
func TestLoginWithoutAKnownTime(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(w.account(func(a *Account) { a.LoginUnknown, a.RefreshExpiry = true, time.Time{} }))
		w.start()
		a := w.want(event.AlertRaised, true)
		w.pass(6 * 24 * time.Hour)
		if b := w.want(event.AlertRaised, true); b.Version != a.Version || a.Key != "login_unknown:schwab" {
			t.Errorf("told again: %+v", b)
		}
		w.set(w.account(calm))
		w.want(event.AlertRecovered, true)
	})
}

func TestLoginDueSoon(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(w.account(calm)) // for five days
		w.start()
		w.pass(4*24*time.Hour - 30*time.Second)
		w.none()
		w.pass(30 * time.Second)
		a := w.want(event.AlertRaised, true)
		if a.Type != event.LoginDueSoon || !strings.Contains(a.Message, "ends 2000-01-06 00:00 UTC; log in before that") {
			t.Errorf("%+v", a)
		}
		if !strings.Contains(w.log.String(), `level=ERROR msg="the login of account main ends`) {
			t.Errorf("nobody else says it, and the log does not either: %s", w.log.String())
		}
		w.set(w.account(loggedIn))
		w.look()
		w.none()
	})
}

// Troubles that no state shows last until the room knows that they are over, or
// nothing was met of them for long.
func TestFactsThatNoStateShows(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(w.account(calm))
		w.start()
		rival := func() { w.meets(event.RivalRefresher, "main", "schwab", "let it take the lock") }
		rival()
		a := w.want(event.AlertRaised, true)
		if a.Key != "rival_refresher:schwab" || a.Message != "account main: let it take the lock" {
			t.Errorf("%+v", a)
		}
		w.pass(59 * time.Minute)
		rival()
		w.pass(59 * time.Minute)
		w.want(event.AlertRaised, true)
		w.die()
		w.start()
		w.pass(30 * time.Second)
		w.none() // an hour has passed since people were told
	})
	run(t, func(t *testing.T, w *world) {
		w.policy.Repeat = 30 * time.Minute
		w.start()
		w.meets(event.RivalRefresher, "main", "schwab", "let it take the lock")
		w.pass(45 * time.Minute)
		before := w.want(event.AlertRepeated, true)
		w.die()
		w.start()
		w.pass(15 * time.Minute)
		after := w.want(event.AlertRepeated, true)
		if after.Version == before.Version || after.Message != before.Message {
			t.Errorf("repeated %q, after a restart %q", before.Message, after.Message)
		}
		w.pass(time.Hour)
		w.none()
	})
	for of, says := range map[event.Type]string{
		event.DiskTrouble: "the disk takes everything again", event.StoreDisplaced: "the state directory is left alone",
		event.StoreRestored: "account main has a token that was made since",
	} {
		run(t, func(t *testing.T, w *world) {
			w.notify = []string{"chat"}
			w.start()
			w.meets(of, "main", "schwab", "look at it")
			w.want(event.AlertRaised, true)
			w.facts.End(of, "other")
			w.facts.End(event.RivalRefresher, "main")
			w.look()
			w.want(event.AlertRaised, true)
			w.facts.End(of, "main")
			synctest.Wait()
			if a := w.want(event.AlertRecovered, true); !strings.Contains(a.Message, says) {
				t.Errorf("%s: %q", of, a.Message)
			}
		})
	}
}

// What is not configured any more is not told for ever.
func TestGoneFromTheConfiguration(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(w.account(needsLogin))
		w.start()
		w.die()
		w.shot.Accounts = nil
		w.start()
		if a := w.want(event.AlertRecovered, true); !strings.Contains(a.Message, "main is not in the configuration any more") {
			t.Errorf("%q", a.Message)
		}
	})
}

// Who follows the events learns that an alert begins and ends, once.
func TestEventsOfAnAlert(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		followed := w.bus().Subscribe(16)
		w.set2(w.account(calm))
		w.start()
		w.set(w.account(needsLogin))
		w.want(event.AlertRaised, true)
		if e := <-followed.C; e.Type != event.NeedsLogin || !e.Alert || e.State != event.AlertRaised {
			t.Errorf("followed %+v", e)
		}
		w.pass(4 * time.Hour)
		if e := <-followed.C; e.Type != event.NeedsLogin || !e.Alert || e.State != event.AlertRepeated || e.Account != "main" {
			t.Errorf("followed %+v", e)
		}
		w.set(w.account(loggedIn))
		w.want(event.AlertRecovered, true)
		if e := <-followed.C; e.Type != event.Recovered || e.Alert || e.State != event.AlertRecovered || e.Over != event.NeedsLogin || e.Account != "main" {
			t.Errorf("followed %+v", e)
		}
		if log := w.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "level=WARN") || !strings.Contains(log, "event=needs_login state=repeated provider=schwab account=main") {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// That a login has ended by its time nobody tells but its alert: the log has it from
// there, and people hear of it also if they know that it was due.
func TestEndOfALoginIsTold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(w.account(func(a *Account) { a.RefreshExpiry = time.Now().Add(time.Hour) }))
		w.start()
		w.want(event.AlertRaised, true)
		if _, err := w.engine.Acknowledge(t.Context(), "login_due_soon:schwab"); err != nil {
			t.Fatal(err)
		}
		w.set(w.account(func(a *Account) { a.NeedsLogin, a.Ended = true, "its login has ended" }))
		if a := w.alert(); a.Type != event.NeedsLogin || a.State != event.AlertRaised || a.Hush != nil {
			t.Errorf("%+v", a)
		}
		if log := w.log.String(); strings.Count(log, `level=ERROR msg="account main needs a login: its login has ended`) != 1 || strings.Count(log, "needs a login now") != 1 {
			t.Errorf("logged:\n%s", log)
		}
		w.set(w.account(needsLogin))
		w.set(w.account(loggedIn))
		w.log.Reset()
		w.pass(listPause)
		w.set(w.account(needsLogin)) // whose cycle tells it
		if log := w.log.String(); strings.Contains(log, "needs_login") {
			t.Errorf("logged twice:\n%s", log)
		}
	})
}

// Who disables a sink that fails ends its alert.
func TestDisablingEndsSinkFailing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		hook := func(k Sink) func(*Snapshot) {
			return func(s *Snapshot) { k.Name = "hook"; s.Sinks = []Sink{k} }
		}
		w.set2(hook(Sink{Failing: 1, Lag: time.Minute, LastError: "HTTP 500"}))
		w.start()
		w.want(event.AlertRaised, true)
		w.mu.Lock()
		hook(Sink{Failing: 1, Lag: time.Hour, Off: true})(&w.shot)
		w.mu.Unlock()
		w.look()
		if a := w.want(event.AlertRecovered, true); !strings.Contains(a.Message, "sink hook was disabled by a person") {
			t.Errorf("%q", a.Message)
		}
		// Enabled again, it fails as before.
		w.set(hook(Sink{Failing: 1, Lag: 2 * time.Minute}))
		w.want(event.AlertRaised, true)
	})
}
