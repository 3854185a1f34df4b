package alert

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// step is one thing that happens.
type step struct {
	what    string
	account int
	sink    string
	pause   time.Duration
}

var steps = rapid.Custom(func(t *rapid.T) step {
	return step{
		what:    rapid.SampledFrom([]string{"trouble", "trouble", "well", "well", "storm", "calm", "unknown", "fact", "tell", "tell", "heard, not noted", "disk fails", "disk works", "restart"}).Draw(t, "what"),
		account: rapid.IntRange(0, 5).Draw(t, "account"),
		sink:    rapid.SampledFrom([]string{"chat", "mail"}).Draw(t, "sink"),
		pause:   rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, 40 * time.Minute, 5 * time.Hour}).Draw(t, "pause"),
	}
})

// Whatever happens in whichever order: every sink ends with knowing how things
// stand, every account in trouble is in the list of an alert that lasts, nothing older is told after something newer, and no two notices of an
// alert have the same version. Only what has been over for a day when a sink is
// told again is kept from it.
func TestEverySinkEndsWithTheTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		todo := rapid.SliceOfN(steps, 1, 40).Draw(rt, "steps")
		var failed string
		synctest.Test(t, func(t *testing.T) { failed = play(t, todo) })
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

// listener is what one sink has heard.
type listener struct {
	name  string
	last  map[string]event.Alert
	heard time.Time // when it was told last
}

// hears begins a telling of all that there is. What has ended and was forgotten
// meanwhile, because the listener could not be told for so long, it never hears
// of again.
func (l *listener) hears(all []event.Alert) {
	if time.Since(l.heard) >= forgottenAfter {
		maps.DeleteFunc(l.last, func(key string, _ event.Alert) bool {
			return !slices.ContainsFunc(all, func(a event.Alert) bool { return a.Key == key })
		})
	}
	l.heard = time.Now()
}

// needs says whether the listener believes that an account has the trouble.
func (l *listener) needs(key, account string) bool { return has(l.last[key], account) }

func lasting(a event.Alert) bool {
	return a.State == event.AlertRaised || a.State == event.AlertRepeated
}

func has(a event.Alert, account string) bool {
	return lasting(a) && slices.ContainsFunc(a.Affected, func(m event.Affected) bool { return m.Account == account })
}

// uncovered returns an account that needs a login and that no alert names, a
// minute after it does.
func (w *world) uncovered() string {
	known, _, _ := w.engine.For(nil).Alert(w.t.Context(), loginAlert)
	for _, a := range w.shot.Accounts {
		if a.NeedsLogin && !a.StoredAt.IsZero() && !has(known, a.Name) {
			return a.Name
		}
	}
	return ""
}

const loginAlert, rivalAlert = "needs_login:schwab", "rival_refresher:schwab"

func play(t *testing.T, todo []step) (failed string) {
	w := newWorld(t)
	w.notify = []string{"chat", "mail"}
	sinks := map[string]*listener{}
	for _, name := range w.notify {
		sinks[name] = &listener{name, map[string]event.Alert{}, time.Now()}
	}
	for n := range 6 {
		a := healthy()
		a.Name = fmt.Sprint("account-", n)
		w.shot.Accounts = append(w.shot.Accounts, a)
	}
	w.start()
	versions := map[string]event.Alert{}
	// hear has a sink told of what is new to it; one that dies before the
	// ledger has it hears it again.
	hear := func(l *listener, noted bool) {
		all, err := w.engine.For(nil).Alerts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.hears(all)
		for _, a := range all {
			line, err := w.memory.Delivery(t.Context(), l.name, a.Key)
			if err != nil {
				t.Fatal(err)
			}
			if a.Version <= line.Version {
				continue
			}
			if a.Version < l.last[a.Key].Version {
				failed = fmt.Sprintf("%s heard version %d of %s after %d", l.name, a.Version, a.Key, l.last[a.Key].Version)
			}
			id := fmt.Sprint(a.Key, " ", a.Version)
			if other, ok := versions[id]; ok && other.State != a.State {
				failed = fmt.Sprintf("two notices have one version: %+v and %+v", other, a)
			}
			versions[id], l.last[a.Key] = a, a
			if !noted {
				continue
			}
			d := store.Delivery{Sink: l.name, Account: a.Key, Version: a.Version, At: time.Now()}
			if err := w.memory.MarkDelivered(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	set := func(n int, needs bool) {
		w.set(func(s *Snapshot) {
			a := &s.Accounts[n]
			if a.NeedsLogin && !needs {
				a.StoredAt, a.Renewed = time.Now(), true
			}
			if a.StoredAt.IsZero() {
				a.StoredAt = time.Now()
			}
			a.NeedsLogin = needs
		})
	}
	for n, s := range todo {
		switch s.what {
		case "trouble", "well":
			set(s.account, s.what == "trouble")
		case "storm", "calm":
			for n := range w.shot.Accounts {
				set(n, s.what == "storm" && n != s.account)
			}
		case "unknown":
			w.set(func(snapshot *Snapshot) { snapshot.Accounts[s.account].StoredAt = time.Time{} })
		case "fact":
			w.meets(event.RivalRefresher, fmt.Sprint("account-", s.account), "schwab", "stop it")
		case "tell", "heard, not noted":
			hear(sinks[s.sink], s.what == "tell")
		case "disk fails":
			w.setDisk(errors.New("no space left on device"))
		case "disk works":
			w.setDisk(nil)
			w.look()
		case "restart":
			// With a disk that fails, the death of the process takes along
			// what only memory has.
			w.setDisk(nil)
			w.look()
			w.die()
			for n := range w.shot.Accounts {
				w.shot.Accounts[n].Renewed = false
			}
			w.start()
		}
		w.pass(s.pause)
		if s.pause < listPause {
			continue
		}
		if missed := w.uncovered(); missed != "" && failed == "" {
			failed = fmt.Sprintf("after step %d nothing says that %s needs a login", n, missed)
		}
	}

	// All is quiet; the accounts that need no login are refreshed.
	w.setDisk(nil)
	time.Sleep(2 * time.Second)
	w.set(func(s *Snapshot) {
		for n := range s.Accounts {
			a := &s.Accounts[n]
			if a.StoredAt.IsZero() || !a.NeedsLogin {
				a.StoredAt, a.Renewed = time.Now(), true
			}
		}
	})
	w.pass(2 * time.Hour)
	for _, l := range sinks {
		hear(l, true)
	}
	w.look()
	for _, l := range sinks {
		for _, a := range w.shot.Accounts {
			if believes := l.needs(loginAlert, a.Name); believes != a.NeedsLogin {
				failed = fmt.Sprintf("%s believes of %s that it needs a login: %v; it is %v", l.name, a.Name, believes, a.NeedsLogin)
			}
		}
		if lasting(l.last[rivalAlert]) {
			failed = fmt.Sprintf("%s believes in a rival, and nothing was seen for hours", l.name)
		}
	}
	left, err := w.memory.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range left {
		if a.State == event.AlertRecovered {
			failed = fmt.Sprintf("everybody was told of the end of %s, and it is still kept", a.Key)
		}
	}
	w.stop()
	<-w.ended
	return failed
}
