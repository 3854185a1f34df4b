package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A broker that does not replace refresh tokens takes nothing with a lost answer:
// nobody is told that it is unknown what became of it, and it is asked again.
func TestLostAnswerIsHarmlessWhereTheRefreshTokenStays(t *testing.T) {
	unread := sdk.Error{Kind: sdk.KindAmbiguous, Message: "nobody can read it", HTTPStatus: 200, Unread: true}
	for name, tt := range map[string]struct {
		fault   fault
		boot    string // after the process died
		rotates bool   // whatever its provider says
		unknown bool
	}{
		"no answer":                             {fault: fault{loseAnswer: true}},
		"no answer that anybody can read":       {fault: fault{refuse: &unread}},
		"the process is killed":                 {fault: fault{die: sent}},
		"the machine goes down":                 {fault: fault{die: sent}, boot: "boot-2"},
		"the broker replaces them all the same": {fault: fault{loseAnswer: true}, rotates: true, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				r.broker.keeps, r.broker.replaces = true, tt.rotates
				g := r.start()
				if tt.fault.die != nowhere {
					tt.fault.kill = func() { g.kill() }
				}
				r.broker.next("one", fault{}, tt.fault) // the first refresh shows what the broker does
				time.Sleep(30*time.Minute + 10*time.Second)
				synctest.Wait()
				if tt.fault.die != nowhere {
					_ = g.died()
					r.boot += tt.boot
					r.restart()
					g = r.start()
					time.Sleep(40 * time.Second)
					synctest.Wait()
				}
				s := r.status("one")
				if tt.unknown {
					if s.AmbiguousSince.IsZero() || r.count(event.Ambiguous) != 1 {
						t.Errorf("%s, though the refresh token may be spent", s.State)
					}
				} else if s.State != refresh.Valid || s.Record.Version != 3 || r.count(event.Ambiguous) != 0 || r.broker.count() != 3 {
					t.Errorf("%s at version %d after %d requests, told %d times", s.State, s.Record.Version, r.broker.count(), r.count(event.Ambiguous))
				}
				_ = g.end()
			})
		})
	}
}

// The grace within which a refresh token is accepted again counts from the first
// request with it, whatever restarts between.
func TestGraceCountsFromTheFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2*time.Hour, "one")
		r.broker.grace = 10 * time.Minute
		for range 200 {
			r.broker.next("one", fault{refuse: sdk.ErrAmbiguous})
		}
		g := r.start()
		time.Sleep(90*time.Minute + 5*time.Minute)
		synctest.Wait()
		first := r.broker.sentAt[0]
		for range 4 {
			if s := r.status("one"); !s.Forgiven.Equal(first.Add(9*time.Minute)) || !s.AmbiguousSince.Equal(first) {
				t.Errorf("unknown since %s and forgiven until %s, want %s and nine minutes", s.AmbiguousSince, s.Forgiven, first)
			}
			_ = g.end()
			r.restart()
			g = r.start()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		}
		_ = g.end()
	})
}
