package refresh_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A login that fails, or is abandoned, or is cut off by a death in any window,
// leaves the attempt of which nobody knows the outcome as it stood: a refusal
// that follows is told as what it is.
func TestALoginThatFailsLeavesTheAttemptAsItStood(t *testing.T) {
	killed := func(w window) func(*rig, *generation) *generation {
		return func(r *rig, g *generation) *generation {
			state := r.beginLogin("one")
			r.broker.next("one", fault{die: w, kill: func() { g.kill() }})
			if _, err := r.keeper.CompleteLogin(r.t.Context(), "one", state, "code-one"); err == nil {
				r.t.Error("the login went well")
			}
			g.stop()
			<-g.done
			r.restart()
			g = r.start()
			synctest.Wait()
			return g
		}
	}
	for name, login := range map[string]func(*rig, *generation) *generation{
		"abandoned": func(r *rig, g *generation) *generation {
			r.beginLogin("one")
			if _, err := r.keeper.CancelLogin(r.t.Context(), "one"); err != nil {
				r.t.Error(err)
			}
			return g
		},
		"refused": func(r *rig, g *generation) *generation {
			if _, err := r.keeper.CompleteLogin(r.t.Context(), "one", r.beginLogin("one"), "wrong"); err == nil {
				r.t.Error("the login went well")
			}
			return g
		},
		"never sent": func(r *rig, g *generation) *generation {
			state := r.beginLogin("one")
			r.broker.next("one", fault{beforeSend: sdk.ErrNotSent})
			if _, err := r.keeper.CompleteLogin(r.t.Context(), "one", state, "code-one"); err == nil {
				r.t.Error("the login went well")
			}
			return g
		},
		"killed before it was sent": killed(beforeSend),
		"killed while it was open":  killed(sent),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				g := r.start()
				r.broker.next("one", fault{loseAnswer: true})
				time.Sleep(15*time.Minute + 100*time.Millisecond)
				synctest.Wait()
				before, due := r.standing("one"), r.status("one").Due
				if before.AmbiguousSince.IsZero() {
					t.Fatal("the attempt is not ambiguous")
				}
				record := r.record("one")
				g = login(r, g)
				if strings.HasPrefix(name, "killed") {
					if after := r.standing("one"); !sameJSON(after, before) {
						t.Errorf("the intent was\n%+v, and is\n%+v", before, after)
					}
				} else {
					if after := r.standing("one"); !sameJSON(after, before) {
						t.Errorf("the intent was\n%+v, and is\n%+v", before, after)
					}
					if after := r.record("one"); !sameJSON(after.Health, record.Health) || after.Version != record.Version {
						t.Errorf("the record was %+v, and is %+v", record, after)
					}
					if s := r.status("one"); !s.Due.Equal(due) || s.State != refresh.Retrying || s.AmbiguousSince.IsZero() {
						t.Errorf("state %s, due %s, ambiguous since %s; it was due %s", s.State, s.Due, s.AmbiguousSince, due)
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if said := r.lastMessage(event.NeedsLogin); !strings.Contains(said, "answer was lost") {
					t.Errorf("the refusal is told as %q", said)
				}
				_ = g.end()
			})
		})
	}
}

// A login that succeeds ends both.
func TestALoginThatSucceedsEndsTheAttemptBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		r.broker.next("one", fault{loseAnswer: true})
		time.Sleep(15*time.Minute + 100*time.Millisecond)
		synctest.Wait()
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Fatal(err)
		}
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil {
			t.Errorf("an intent stands (%v)", err)
		}
		if s := r.status("one"); s.State != refresh.Valid || !s.AmbiguousSince.IsZero() {
			t.Errorf("state %s, ambiguous since %s", s.State, s.AmbiguousSince)
		}
		_ = g.end()
	})
}

func (r *rig) standing(account string) store.Intent {
	r.t.Helper()
	in, ok, err := r.store.Intent(context.Background(), account)
	if err != nil || !ok {
		r.t.Fatalf("no intent stands (%v)", err)
	}
	return in
}

func (r *rig) lastMessage(t event.Type) (message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Type == t {
			message = e.Message
		}
	}
	return message
}

func sameJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
