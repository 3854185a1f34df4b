package refresh_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Whatever people, clocks, machines and processes do, no hour of the broker's has more
// requests than it allows, or more failed logins than it forgives; and what it allows is
// used, if a login is left.
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
		least := l.RequestsPerHour // that an account makes by itself
		if least >= 3 {
			least--
		}
		var fault string
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 8*time.Minute, l)
			g := r.start()
			synctest.Wait()
			for _, m := range ms {
				g = r.move(g, m)
				synctest.Wait()
				came := r.broker.came()
				if n := mostInAnHour(came); n > l.RequestsPerHour {
					fault = fmt.Sprintf("%d requests in an hour: %v", n, came)
				}
				if n := mostInAnHour(r.broker.failedAt); n >= l.FailedLoginsPerHour {
					fault = fmt.Sprintf("%d failed logins in an hour: %v", n, r.broker.failedAt)
				}
			}
			before := len(r.broker.came())
			for range 4 * 60 {
				time.Sleep(time.Minute)
				r.keeper.Look()
			}
			synctest.Wait()
			if n := len(r.broker.came()) - before; n < 3*least && r.status("one").State != refresh.NeedsLogin {
				fault = fmt.Sprintf("%d requests in four quiet hours, and it could make %d an hour: %+v", n, least, r.status("one"))
			}
			_ = g.end()
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

func (r *rig) move(g *generation, m move) *generation {
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
		g = r.anew(g)
	case "the clock is set back":
		r.jumpBy(-minutes * 5)
		r.keeper.Look()
	case "the clock is set ahead":
		r.jumpBy(minutes * 5)
		r.keeper.Look()
	case "the machine sleeps":
		r.suspend(minutes)
		r.keeper.Look()
	}
	return g
}
