package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

// given is what a Watch has given so far.
type given struct {
	versions []uint64
	troubles []error
	ended    bool
}

// watch follows an account in a goroutine until the test ends or cancels.
// Reading what it gave takes a synctest.Wait before.
func watch(t *testing.T, c *client.Client, account string) (*given, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	g := &given{}
	go func() {
		for tok, err := range c.Watch(ctx, account) {
			if err != nil {
				g.troubles = append(g.troubles, err)
				continue
			}
			g.versions = append(g.versions, tok.Version)
		}
		g.ended = true
	}()
	synctest.Wait()
	return g, cancel
}

func (g *given) want(t *testing.T, when string, versions ...uint64) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(g.versions, versions) {
		t.Fatalf("%s: given %v, want %v; troubles: %v", when, g.versions, versions, g.troubles)
	}
}

func (g *given) wantTroubles(t *testing.T, when string, want ...error) {
	t.Helper()
	synctest.Wait()
	if !slices.EqualFunc(g.troubles, want, errors.Is) {
		t.Fatalf("%s: troubles %v, want %v", when, g.troubles, want)
	}
}

func TestWatchGivesTheNewestAndEachLaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 4, time.Hour)
		s.set("other", 1, time.Hour)
		g, cancel := watch(t, c, "main")
		g.want(t, "at once", 4)
		for range 3 {
			time.Sleep(time.Hour)
		}
		g.want(t, "while nothing happens", 4)
		s.renew("main", 5, time.Hour)
		g.want(t, "after a refresh", 4, 5)
		before := s.asked
		s.renew("other", 2, time.Hour)
		s.publish("main", 5) // delivered to a sink
		g.want(t, "after what is no news", 4, 5)
		if s.asked != before {
			t.Errorf("the token was asked for %d times without need", s.asked-before)
		}
		s.set("main", 6, time.Hour)
		s.lose()
		s.publish("other", 2)
		g.want(t, "after a gap", 4, 5, 6)
		cancel()
		synctest.Wait()
		if !g.ended || len(g.troubles) > 0 {
			t.Errorf("after the context: ended %t, troubles %v", g.ended, g.troubles)
		}
	})
}

func TestWatchOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.set("main", 1, time.Hour)
		g, _ := watch(t, c, "main")
		g.wantTroubles(t, "before the start", client.ErrNotRunning)
		s.start()
		time.Sleep(time.Second)
		g.want(t, "after the start", 1)

		// Nobody notices a restart that is quick.
		s.stop()
		s.start()
		time.Sleep(time.Second)
		g.want(t, "after a quick restart", 1)
		g.wantTroubles(t, "after a quick restart", client.ErrNotRunning)
		s.renew("main", 2, time.Hour)
		g.want(t, "a refresh after the restart", 1, 2)

		// A longer one is told once; what was refreshed meanwhile comes after.
		s.stop()
		s.mu.Lock()
		s.dials = nil
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		g.wantTroubles(t, "while it is down", client.ErrNotRunning, client.ErrNotRunning)
		if n := len(s.dials); n < 60 || n > 130 {
			t.Errorf("%d tries in 10 minutes, want one each 5 s at last", n)
		}
		if first := s.dials[1].Sub(s.dials[0]); first > time.Second {
			t.Errorf("the second try came %s after the first", first)
		}
		s.set("main", 3, time.Hour)
		s.start()
		time.Sleep(7 * time.Second)
		g.want(t, "after a long restart", 1, 2, 3)

		// A trouble that was told is over, though the token is the same.
		s.stop()
		time.Sleep(time.Minute)
		s.start()
		time.Sleep(7 * time.Second)
		g.want(t, "the same token again", 1, 2, 3, 3)
	})
}

func TestWatchMissesNothingWhileItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.set("main", 1, time.Hour)
		s.connecting = func() { s.renew("main", 2, time.Hour) }
		s.start()
		g, _ := watch(t, c, "main")
		g.want(t, "a refresh that no event told of", 2)
	})
}

func TestWatchWaitsForTheFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 0, 0)
		g, _ := watch(t, c, "main")
		g.wantTroubles(t, "before the login", client.ErrNoToken)
		s.publish("main", 0)
		g.wantTroubles(t, "told once", client.ErrNoToken)
		s.renew("main", 1, time.Hour)
		g.want(t, "after the login", 1)
	})
}

func TestWatchNeverGivesAnOldTokenToASlowLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 1, time.Hour)
		var got []uint64
		for tok, err := range c.Watch(t.Context(), "main") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, tok.Version)
			if len(got) == 1 {
				for v := uint64(2); v <= 20; v++ {
					s.renew("main", v, time.Hour)
				}
				continue
			}
			if tok.Version == 20 {
				break
			}
		}
		if !slices.Equal(got, []uint64{1, 20}) {
			t.Errorf("given %v, want [1 20]", got)
		}
	})
}

func TestWaitValid(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*supervisor)
		during func(*supervisor) // a minute later
		want   uint64
		took   time.Duration // at most
		errs   []error
	}{
		{"good already", func(s *supervisor) { s.start(); s.set("main", 1, time.Hour) }, nil, 1, 0, nil},
		{
			"expires within the margin", func(s *supervisor) { s.start(); s.set("main", 1, 4*time.Minute) },
			func(s *supervisor) { s.renew("main", 2, time.Hour) }, 2, time.Minute, nil,
		},
		{
			"expired, and again", func(s *supervisor) { s.start(); s.set("main", 1, -time.Hour) },
			func(s *supervisor) { s.renew("main", 2, time.Minute); s.renew("main", 3, time.Hour) }, 3, time.Minute, nil,
		},
		{
			"not running yet", func(s *supervisor) { s.set("main", 1, time.Hour) },
			func(s *supervisor) { s.start() }, 1, time.Minute + 7*time.Second, nil,
		},
		{
			"no token yet", func(s *supervisor) { s.start(); s.set("main", 0, 0) },
			func(s *supervisor) { s.renew("main", 1, time.Hour) }, 1, time.Minute, nil,
		},
		{
			"never better", func(s *supervisor) { s.start(); s.set("main", 1, -time.Hour) },
			nil, 0, time.Hour, []error{client.ErrExpired, context.DeadlineExceeded},
		},
		{
			"never running", func(*supervisor) {}, nil, 0, time.Hour,
			[]error{client.ErrNotRunning, context.DeadlineExceeded},
		},
		{"no such account", func(s *supervisor) { s.start() }, nil, 0, 0, []error{client.ErrNoAccount}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newSupervisor(t)
				tt.before(s)
				if tt.during != nil {
					time.AfterFunc(time.Minute, func() { tt.during(s) })
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				tok, err := c.WaitValid(ctx, "main", 5*time.Minute)
				if took := time.Since(began); took > tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				if (err != nil) != (tt.errs != nil) || tok.Version != tt.want {
					t.Fatalf("got version %d, %v; want %d, %v", tok.Version, err, tt.want, tt.errs)
				}
				for _, want := range tt.errs {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v in it", err, want)
					}
				}
			})
		})
	}
}
