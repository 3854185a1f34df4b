package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

const failingAlert = "refresh_failing:schwab"

// accounts are n that were refreshed a minute ago, in an earlier run; the first
// down of them can't be refreshed.
func accounts(n, down int) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Accounts = nil
		for k := range n {
			a := healthy()
			a.Name, a.StoredAt = fmt.Sprintf("a-%04d", k), time.Now().Add(-time.Minute)
			a.RefreshExpiry = time.Time{}
			if k < down {
				a.Failures, a.LastError = 3, "HTTP 503"
			}
			s.Accounts = append(s.Accounts, a)
		}
	}
}

// down has the first accounts fail; whichever did and does not any more was
// refreshed.
func down(n int) func(*Snapshot) {
	return func(s *Snapshot) {
		for k := range s.Accounts {
			a := &s.Accounts[k]
			switch {
			case k < n:
				a.Failures, a.LastError = 3, "HTTP 503"
			case a.Failures > 0:
				a.Failures, a.LastError, a.StoredAt, a.Renewed = 0, "", time.Now(), true
			}
		}
	}
}

// failing is the alert about what can't be refreshed, as a sink of these
// accounts sees it; none: all.
func (w *world) failing(only ...string) event.Alert {
	w.t.Helper()
	var wants Wants
	if len(only) > 0 {
		wants = func(account, _ string) bool { return slices.Contains(only, account) }
	}
	a, _, err := w.engine.For(wants).Alert(w.t.Context(), failingAlert)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestStormIsOneAlert(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(200, 0))
		w.start()
		w.set(down(101))
		raised := w.want(event.AlertRaised, true)
		want := "101 accounts at schwab can't be refreshed: a-0000, a-0001, a-0002, a-0003, a-0004, a-0005, a-0006, a-0007, a-0008, a-0009 and 91 more; " +
			"the first error: HTTP 503; they are tried again all the time; look at the network and at the broker's status page; " +
			"to see every account run: tokenkeeper status; to see what is open run: tokenkeeper alerts"
		if raised.Message != want || raised.Provider != "schwab" || raised.Account != "" || raised.Accounts != 101 || len(raised.Affected) != listed {
			t.Errorf("raised %+v", raised)
		}
		w.set(down(120))
		w.pass(5 * time.Hour)
		repeated := w.want(event.AlertRepeated, true)
		if !strings.HasPrefix(repeated.Message, "still, since 2000-01-01 00:00 UTC: 120 accounts") || repeated.Accounts != 120 {
			t.Errorf("repeated %+v", repeated)
		}
		w.set(down(0))
		over := w.want(event.AlertRecovered, true)
		if over.Accounts != 120 || over.Message != "over after 5 h 0 min: refresh failing at schwab: 120 accounts had this trouble, and none has it now" {
			t.Errorf("over %+v", over)
		}
		if told := w.tell("chat"); len(told) != 1 {
			t.Errorf("told %d", len(told))
		}
		w.look()
		w.none()
	})
}

// Whoever is not well is looked at again, also if nothing changes but the time:
// an alert begins when a maintenance ends, and lasts until its end is known.
func TestWhoIsNotWellIsAskedFor(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.frugal, w.changed = true, true
		w.excuse = []Window{{From: 0, To: time.Hour, Zone: time.UTC}} // it is midnight
		w.set2(accounts(50, 0))
		w.set2(func(s *Snapshot) {
			for n := range 3 {
				s.Accounts[n].Failures, s.Accounts[n].FailedAt = 3, time.Now().Add(61*time.Minute)
			}
		})
		w.start()
		w.none()
		w.pass(58 * time.Minute)
		w.none()
		w.pass(3 * time.Minute)
		if a := w.want(event.AlertRaised, true); a.Accounts != 3 {
			t.Errorf("%+v", a)
		}
		w.pass(10 * time.Hour)
		if a := w.want(event.AlertRepeated, true); a.Accounts != 3 {
			t.Errorf("%+v", a)
		}
		w.set(down(0))
		w.want(event.AlertRecovered, true)
	})
}

// A sink is told each time that the list changes notably, at most once a minute.
func TestListIsToldWhenItChangesNotably(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(300, 0))
		w.start()
		var counts []int
		hear := func() {
			for _, a := range w.tell("chat") {
				counts = append(counts, a.Accounts)
			}
		}
		for n := range 200 {
			w.set(down(n + 1))
			hear()
			time.Sleep(10 * time.Second)
		}
		w.pass(2 * time.Minute)
		hear()
		if want := []int{1, 7, 13, 25, 43, 85, 163}; !slices.Equal(counts, want) {
			t.Errorf("told at %v accounts, want %v", counts, want)
		}
		counts = nil
		for _, n := range []int{150, 100, 50, 20, 11, 10, 9, 3} {
			w.set(down(n))
			w.pass(time.Minute)
			hear()
		}
		if want := []int{10, 9, 3}; !slices.Equal(counts, want) {
			t.Errorf("told at %v accounts when they became well, want %v", counts, want)
		}
		if a := w.failing(); a.State != event.AlertRepeated || !strings.Contains(a.Message, "3 accounts at schwab can't be refreshed: a-0000, a-0001, a-0002") ||
			!strings.Contains(a.Message, "it is over for a-0003, a-0004") {
			t.Errorf("%s %q", a.State, a.Message)
		}
	})
}

// Who knows one account of many is told of that one, when it happens.
func TestSinkOfOneAccountInAStorm(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(60, 0))
		w.start()
		w.set(down(50))
		w.pass(time.Minute)
		if a := w.failing("a-0050"); a.Key != "" {
			t.Fatalf("told of others: %+v", a)
		}
		all := w.failing()
		w.set(down(51))
		w.pass(time.Minute)
		if a := w.failing(); a.Version != all.Version {
			t.Errorf("one more of 50 is told to everybody: %+v", a)
		}
		mine := w.failing("a-0050")
		if mine.State != event.AlertRaised || mine.Account != "a-0050" || mine.Accounts != 1 || !strings.HasPrefix(mine.Message, "account a-0050: 3 refreshes in a row have failed") {
			t.Errorf("%+v", mine)
		}
		if pair := w.failing("a-0050", "a-0007"); pair.Accounts != 2 || pair.Version != mine.Version ||
			!strings.HasPrefix(pair.Message, "2 accounts at schwab can't be refreshed: a-0050, a-0007") {
			t.Errorf("who is new comes first: %+v", pair)
		}
		w.set(down(50))
		w.pass(time.Minute)
		over := w.failing("a-0050")
		if over.State != event.AlertRecovered || over.Version <= mine.Version || over.Message != "over after 1 min: account a-0050 is refreshed again" {
			t.Errorf("%+v", over)
		}
		w.pass(29 * time.Hour)
		if a := w.failing("a-0050"); a.Key != "" {
			t.Errorf("after a day it is still told: %+v", a)
		}
	})
}

// What is unknown stays in the list, also over restarts, and is not told anew.
func TestListOverARestart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(100, 50))
		w.start()
		before := w.want(event.AlertRaised, true)
		for name, forget := range map[string]func(*Account){
			"as before":       func(*Account) {},
			"one failure":     func(a *Account) { a.Failures = 1 },
			"no newer token":  func(a *Account) { a.Failures = 0 },
			"no token at all": func(a *Account) { a.Failures, a.StoredAt = 0, time.Time{} },
		} {
			w.die()
			w.set2(accounts(100, 50))
			w.set2(func(s *Snapshot) {
				for n := range 50 {
					s.Accounts[n].StoredAt = before.Since.Add(-time.Minute)
					forget(&s.Accounts[n])
				}
			})
			w.start()
			w.pass(10 * time.Minute)
			if a := w.want(event.AlertRaised, true); !same(a, before) {
				t.Errorf("%s: %+v, want %+v", name, a, before)
			}
		}
		w.set(func(s *Snapshot) {
			for n := range 50 {
				s.Accounts[n].Failures, s.Accounts[n].StoredAt, s.Accounts[n].Renewed = 0, time.Now(), true
			}
		})
		w.want(event.AlertRecovered, true)
	})
}

// The alerts of a version that had one for each account, and groups, are left for
// lists, which are told once.
func TestAlertsOfAnEarlierVersion(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(20, 20))
		since := time.Now().Add(-time.Hour).UTC()
		old := func(key, account string, state event.AlertState, count int) {
			err := w.memory.SaveAlert(t.Context(), event.Alert{
				Key: key, Type: event.RefreshFailing, State: state, Version: 7, Provider: "schwab", Account: account, Accounts: count,
				Message: "as it was", Since: since, ChangedAt: since,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		old("refresh_failing:a-0000", "a-0000", event.AlertRepeated, 0)
		old("refresh_failing:a-0099", "a-0099", event.AlertRecovered, 0)
		old("refresh_failing:schwab:*", "", event.AlertRaised, 19)
		w.start()
		a := w.want(event.AlertRaised, true)
		if a.Key != failingAlert || a.Accounts != 20 || a.Version <= 7 {
			t.Errorf("%+v", a)
		}
		if told := w.tell("chat"); len(told) != 1 {
			t.Errorf("%d are told", len(told))
		}
		if left, err := w.memory.Alerts(t.Context()); err != nil || len(left) != 1 {
			t.Errorf("kept %+v, %v", left, err)
		}
	})
}

// Whoever knows fewer accounts is told of nothing else, and nobody hears that
// all is well who has one in trouble.
func TestNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := event.Alert{Key: "needs_login:saxo", Type: event.NeedsLogin, Provider: "saxo", Version: 100, State: event.AlertRaised}
		for n := range rapid.IntRange(1, 60).Draw(t, "accounts") {
			m := event.Affected{Account: fmt.Sprint("a", n), Since: noon.Add(time.Duration(n) * time.Second), Version: rapid.Uint64Range(1, 100).Draw(t, "version")}
			if rapid.Bool().Draw(t, "over") {
				m.Until = noon.Add(time.Hour)
			}
			whole.Affected = append(whole.Affected, m)
		}
		mod := rapid.IntRange(1, 5).Draw(t, "every")
		wants := func(account, _ string) bool {
			return slices.IndexFunc(whole.Affected, func(m event.Affected) bool { return m.Account == account })%mod == 0
		}
		a, ok := Narrow(whole, wants)
		lasts := false
		for n, m := range whole.Affected {
			lasts = lasts || n%mod == 0 && m.Until.IsZero()
		}
		if !ok || lasts == (a.State == event.AlertRecovered) || a.Version == 0 || a.Version > 100 || a.Accounts != len(a.Affected) {
			t.Fatalf("lasts %v: %+v", lasts, a)
		}
		for _, m := range a.Affected {
			if !wants(m.Account, "") {
				t.Fatalf("%s is told", m.Account)
			}
		}
	})
}

// The list of an alert is at any time what the newest look has seen, also while
// it rests.
func TestListIsCurrent(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(accounts(20, 0))
		w.start()
		w.set(down(1))
		time.Sleep(10 * time.Second)
		w.set(down(3))
		all, err := w.engine.Alerts(t.Context())
		if err != nil || len(all) != 1 || all[0].Accounts != 3 || len(all[0].Affected) != 3 {
			t.Errorf("%+v, %v", all, err)
		}
		if a := w.failing(); a.Accounts != 1 {
			t.Errorf("sinks are told of %d", a.Accounts)
		}
	})
}

// While a list rests that others were told, a sink hears at once of the first
// account of its own; what came and went in that time is told to nobody.
func TestFirstNewsOfASink(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.some = []Wants{func(account, _ string) bool { return account == "a-0003" }}
		w.set2(accounts(20, 0))
		w.start()
		w.set(down(1))
		first := w.failing()
		time.Sleep(10 * time.Second)
		w.set(down(3)) // of no account that one of the sinks asks for
		time.Sleep(10 * time.Second)
		w.set(down(1))
		if a := w.failing(); a.Version != first.Version {
			t.Errorf("told: %+v", a)
		}
		w.set(down(4))
		mine := w.failing("a-0003")
		if mine.State != event.AlertRaised || mine.Account != "a-0003" || mine.ChangedAt.Sub(first.ChangedAt) != 20*time.Second {
			t.Errorf("%+v", mine)
		}
		if a := w.failing("a-0001", "a-0002"); a.Accounts != 2 || a.State != event.AlertRaised {
			t.Errorf("%+v", a)
		}
	})
}
