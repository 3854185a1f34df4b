package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

const failingGroup = "refresh_failing:schwab:*"

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

// lasts are the keys of the alerts that last.
func (w *world) lasts() (keys []string) {
	all, err := w.engine.Alerts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		if lasting(a) {
			keys = append(keys, a.Key)
		}
	}
	return keys
}

func (w *world) wantLasting(keys ...string) {
	w.t.Helper()
	if got := w.lasts(); !slices.Equal(got, keys) {
		w.t.Fatalf("open are %d: %v; want %v", len(got), got[:min(len(got), 20)], keys)
	}
}

// messages forgets and counts what the sinks were woken for.
func (w *world) messages() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.woken)
	w.woken = nil
	return n
}

func (w *world) group() event.Alert {
	w.t.Helper()
	a, ok, err := w.engine.Alert(w.t.Context(), failingGroup)
	if err != nil || !ok {
		w.t.Fatalf("no alert %s (%v)", failingGroup, err)
	}
	return a
}

func singles(from, to int) (keys []string) {
	for n := from; n < to; n++ {
		keys = append(keys, fmt.Sprintf("refresh_failing:a-%04d", n))
	}
	return keys
}

func TestStormIsOneAlert(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(2000, 0))
		w.start()
		w.set(down(1000))
		w.wantLasting(failingGroup)
		raised := w.group()
		want := "1000 of 2000 accounts at schwab can't be refreshed; the first error: HTTP 503; " +
			"they are tried again all the time; look at the network and at the broker's status page; " +
			"to see every account run: tokenkeeper status; to see what is open run: tokenkeeper alerts"
		if raised.Message != want || raised.Provider != "schwab" || raised.Account != "" || raised.Type != event.RefreshFailing || raised.Accounts != 1000 {
			t.Errorf("raised %+v", raised)
		}
		w.set(down(1200))
		w.pass(5 * time.Hour)
		repeated := w.group()
		if !strings.HasPrefix(repeated.Message, "still, since 2000-01-01 00:00 UTC: 1200 of 2000 accounts") || repeated.Accounts != 1200 {
			t.Errorf("repeated %+v", repeated)
		}
		w.set(down(0))
		over := w.group()
		if over.State != event.AlertRecovered || over.Accounts != 1200 ||
			over.Message != "over after 5 h 0 min: refresh failing at schwab: 1200 accounts had this trouble, and none has it now" {
			t.Errorf("over %+v", over)
		}
		if n := w.messages(); n != 3 {
			t.Errorf("%d messages, want 3", n)
		}
		if lines := strings.Count(w.log.String(), "\n"); lines != 3 {
			t.Errorf("%d lines in the log, want 3", lines)
		}
		w.tell("chat")
		w.look()
		w.none()
		if len(w.engine.groups) > 0 {
			t.Error("the members are still in memory")
		}
	})
}

// The accounts of a broker that fails are not all due at once.
func TestStormGrowsOutOfSingles(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(300, 0))
		w.start()
		for n := range 200 {
			w.set(down(n + 1))
			time.Sleep(10 * time.Second)
		}
		want := append(singles(0, 10), failingGroup)
		w.wantLasting(want...)
		if n := w.messages(); n != 11 {
			t.Errorf("%d messages, want 11", n)
		}
		// Those that were told of one by one are not repeated, and end.
		w.pass(5 * time.Hour)
		w.wantLasting(want...)
		if n := w.messages(); n != 1 {
			t.Errorf("%d messages, want one repeat", n)
		}
		w.set(down(8))
		w.wantLasting(append(singles(0, 8), failingGroup)...)
		if n := w.messages(); n != 2 {
			t.Errorf("%d messages, want two ends", n)
		}
		w.set(down(5))
		w.wantLasting(singles(0, 5)...)
		if over := w.group(); !strings.HasSuffix(over.Message, "200 accounts had this trouble, and 5 still have it, each with an alert of its own") {
			t.Errorf("over: %q", over.Message)
		}
	})
}

func TestStormShrinks(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(1000, 0))
		w.start()
		w.set(down(1000))
		for n := 1000; n > 5; n -= 5 {
			w.set(down(n))
			w.wantLasting(failingGroup)
		}
		w.messages()
		w.set(down(3))
		w.wantLasting(singles(0, 3)...)
		if n := w.messages(); n != 4 {
			t.Errorf("%d messages, want the end of one and three that begin", n)
		}
		// It is no storm again before there are more than the limit.
		w.set(down(10))
		w.wantLasting(singles(0, 10)...)
		w.set(down(11))
		w.wantLasting(append(singles(0, 10), failingGroup)...)
	})
}

// What has lasted for long is no storm: the next is told of by itself.
func TestOldTroublesAreNoStorm(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(accounts(100, 0))
		w.start()
		for n := range 4 {
			w.set(down(8 * (n + 1)))
			w.pass(61 * time.Minute)
		}
		w.wantLasting(singles(0, 32)...)
		// They keep no group open either, and are repeated when it is over.
		w.set(down(60))
		w.wantLasting(append(singles(0, 32), failingGroup)...)
		w.messages()
		w.pass(4*time.Hour - time.Minute)
		if n := w.messages(); n != 0 {
			t.Errorf("%d messages while a group stands for all", n)
		}
		w.set(down(33))
		w.wantLasting(singles(0, 33)...)
		if n := w.messages(); n != 1+1+32 {
			t.Errorf("%d messages, want an end, a beginning and 32 repeats", n)
		}
	})
}

// A member of which nobody knows stays one as long as that.
func TestUnknownKeepsAGroup(t *testing.T) {
	for name, forget := range map[string]func(*Account){
		"one failure":     func(a *Account) { a.Failures = 1 },
		"no newer token":  func(a *Account) { a.Failures = 0 },
		"no token at all": func(a *Account) { a.Failures, a.StoredAt = 0, time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				w.notify = []string{"chat"}
				w.set2(accounts(100, 50))
				w.start()
				w.set(func(s *Snapshot) {
					for n := range 50 {
						forget(&s.Accounts[n])
					}
				})
				before := w.group()
				w.pass(24 * time.Hour)
				if a := w.group(); a != before {
					t.Errorf("%+v, want %+v", a, before)
				}
				w.set(func(s *Snapshot) { s.Accounts[0].Failures, s.Accounts[0].StoredAt = 3, before.Since })
				if a := w.group(); a.State != event.AlertRepeated || !strings.Contains(a.Message, "1 of 100 accounts at schwab can't be refreshed; of 49 others it is not known yet") {
					t.Errorf("%+v", a)
				}
				w.set(func(s *Snapshot) {
					for n := range 50 {
						s.Accounts[n].Failures, s.Accounts[n].StoredAt, s.Accounts[n].Renewed = 0, time.Now(), true
					}
				})
				if a := w.group(); a.State != event.AlertRecovered {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

// What all have been told of one by one is not told once more by a group alert.
func TestNoGroupWithoutNews(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy.GroupAbove = 100
		w.set2(accounts(100, 20))
		w.start()
		w.die()
		w.policy.GroupAbove = 10
		w.start()
		w.pass(time.Minute)
		w.wantLasting(singles(0, 20)...)
		w.set(down(21))
		w.wantLasting(append(singles(0, 20), failingGroup)...)
	})
}

func TestGroupOfAProviderThatIsGone(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(100, 50))
		w.start()
		w.set(func(s *Snapshot) {
			for n := range s.Accounts {
				s.Accounts[n].Provider = "saxo"
			}
		})
		w.wantLasting("refresh_failing:saxo:*")
		if a := w.group(); a.State != event.AlertRecovered || !strings.Contains(a.Message, "schwab is not in the configuration any more") {
			t.Errorf("%+v", a)
		}
	})
}

// A broker that fails has nothing to do with the others, nor one trouble with
// another; and an alert of the provider is none of its accounts.
func TestGroupsAreApart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(func(s *Snapshot) {
			accounts(40, 10)(s)
			for n := 10; n < 20; n++ {
				s.Accounts[n].NeedsLogin = true
			}
			for n := 20; n < 31; n++ {
				s.Accounts[n].Provider, s.Accounts[n].NeedsLogin = "saxo", true
			}
			s.Processes = []Process{{Name: "saxo", State: ProcessParked}}
		})
		w.start()
		want := []string{"needs_login:saxo:*", "provider_parked:saxo"}
		for n := 10; n < 20; n++ {
			want = append(want, fmt.Sprintf("needs_login:a-%04d", n))
		}
		want = append(want, singles(0, 10)...)
		slices.Sort(want)
		w.wantLasting(want...)
	})
}

// What only events tell of is grouped too, also if they name no provider, and
// after a restart it lasts as long as one alone would.
func TestStormOfEvents(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.policy.Repeat = 0
		w.set2(accounts(100, 0))
		w.start()
		w.inOneLook(func() {
			for n := range 50 {
				w.engine.Observe(event.Event{Type: event.StoreRestored, Alert: true, Account: fmt.Sprintf("a-%04d", n), Time: time.Now(), Message: "it may be spent"})
			}
		})
		const key = "store_restored:schwab:*"
		w.wantLasting(key)
		w.die()
		w.start()
		w.pass(23 * time.Hour)
		w.wantLasting(key)
		w.pass(time.Hour)
		w.wantLasting()
	})
}

// That the provider's process runs again says nothing of its accounts: the log
// has a line for the end of each.
func TestEndOfAGroupBesideThatOfItsProvider(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(100, 50))
		w.start()
		w.mu.Lock()
		down(0)(&w.shot)
		w.mu.Unlock()
		w.engine.Observe(event.Event{Type: event.Recovered, Provider: "schwab"})
		synctest.Wait()
		w.wantLasting()
		if log := w.log.String(); !strings.Contains(log, "refresh failing at schwab: 50 accounts had this trouble, and none has it now") {
			t.Errorf("the log: %s", log)
		}
	})
}

// The end of the last members is not left to the next look.
func TestEndOfAGroupIsToldAtOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(100, 50))
		w.start()
		w.mu.Lock()
		down(0)(&w.shot)
		w.mu.Unlock()
		w.engine.Observe(event.Event{Type: event.Refreshed, Account: "a-0099", Provider: "schwab"})
		synctest.Wait()
		w.wantLasting(failingGroup)
		w.engine.Observe(event.Event{Type: event.Refreshed, Account: "a-0049", Provider: "schwab"})
		synctest.Wait()
		w.wantLasting()
	})
}
