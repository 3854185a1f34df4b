package alert

import (
	"strings"
	"testing"
	"time"
)

func TestStormOverARestart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(1000, 0))
		w.start()
		w.set(down(500))
		before := w.group()
		w.die()
		w.start()
		w.pass(10 * time.Minute)
		w.wantLasting(failingGroup)
		if a := w.group(); a != before {
			t.Errorf("after a restart %+v, want %+v", a, before)
		}
		w.die()
		// Their failures are forgotten, and nobody knows.
		for _, change := range []func(*Account){
			func(a *Account) { a.Failures = 1 },
			func(a *Account) { a.Failures = 0 },
			func(a *Account) { a.StoredAt = time.Time{} },
		} {
			w.set2(func(s *Snapshot) {
				for n := range s.Accounts[:500] {
					change(&s.Accounts[n])
				}
			})
			w.start()
			w.pass(50 * time.Minute)
			if a := w.group(); a != before {
				t.Errorf("nobody knows, and the alert is %+v, want %+v", a, before)
			}
			w.die()
		}
		// All but 3 are well.
		w.set2(func(s *Snapshot) {
			for n := range s.Accounts {
				s.Accounts[n].StoredAt, s.Accounts[n].Renewed, s.Accounts[n].Failures = time.Now(), true, 0
			}
			down(3)(s)
		})
		w.start()
		w.wantLasting(singles(0, 3)...)
		if a := w.group(); !strings.Contains(a.Message, "at least 500 accounts had this trouble, and 3 still have it") {
			t.Errorf("over: %q", a.Message)
		}
	})
}

// What stays unknown after a restart does not keep a group alert for ever, nor
// new troubles from being told.
func TestUnknownForLongAfterARestart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(100, 50))
		w.start()
		w.die()
		w.set2(func(s *Snapshot) {
			for n := range s.Accounts {
				s.Accounts[n].Failures = 1
			}
		})
		w.start()
		w.pass(settling - 30*time.Second)
		w.wantLasting(failingGroup)
		w.pass(time.Minute)
		w.wantLasting()
	})
}
