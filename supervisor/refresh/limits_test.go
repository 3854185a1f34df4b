package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// newLimitRig is a rig whose broker allows only so much.
func newLimitRig(t *testing.T, lifetime time.Duration, l sdk.Limits) *rig {
	r := newRig(t, lifetime, "one")
	r.broker.limits = l
	return r
}

// anew is the supervisor's death and its next start.
func (r *rig) anew(g *generation) *generation {
	r.t.Helper()
	g.kill()
	_ = g.end()
	r.restart()
	return r.start()
}

// mostInAnHour is how many of at were in the fullest hour.
func mostInAnHour(at []time.Time) (most int) {
	for n := range at {
		in := 0
		for _, other := range at[n:] {
			if other.Sub(at[n]) < time.Hour {
				in++
			}
		}
		most = max(most, in)
	}
	return most
}

func (b *broker) came() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.sentAt...)
}

// An account that needs more requests than its broker allows has no more, whatever is
// started anew when; it says why it waits; and one is left for a person.
func TestRequestsAnHourHoldOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 5}) // it needs ten
		g := r.start()
		waited := 0
		for step := range 24 * 60 / 7 {
			time.Sleep(7 * time.Minute)
			synctest.Wait()
			if s := r.status("one"); s.Waiting == promise.Limit {
				waited++
				if !strings.Contains(s.WaitingText, "4 of the 5 requests that it allows an hour were made since ") ||
					!strings.Contains(s.WaitingText, "tokenkeeper refresh one --force") {
					t.Fatal(s.WaitingText)
				}
			}
			if step%3 == 0 {
				g = r.anew(g)
			}
			r.keeper.Look()
			r.met()
		}
		if came := r.broker.came(); mostInAnHour(came) != 4 || len(came) < 24*4-6 {
			t.Errorf("%d in the fullest hour, %d in a day", mostInAnHour(came), len(came))
		}
		if waited < 50 {
			t.Errorf("seen waiting %d times", waited)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", false); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("asked without insisting: %v", err)
		}
		if did, err := r.keeper.Refresh(t.Context(), "one", true); !did || err != nil {
			t.Errorf("the one that is left: %v", err)
		}
		g = r.anew(g)
		synctest.Wait()
		_, err := r.keeper.Refresh(t.Context(), "one", true)
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "and it allows 5 an hour; the next can be sent ") {
			t.Errorf("one more: %v", err)
		}
		_, err = r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{})
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "nothing was begun") {
			t.Errorf("a login: %v", err)
		}
		time.Sleep(time.Hour)
		if n := mostInAnHour(r.broker.came()); n != 5 {
			t.Errorf("%d in the fullest hour", n)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestLimitIsTold: of each wait for a limit it is told once, when the account would have had its
// turn, and with what there is to do.
func TestLimitIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 5})
		defer r.watch()()
		g := r.start()
		waits := map[int]bool{} // by how often was asked before
		for range 4 * 120 {
			time.Sleep(30 * time.Second)
			r.keeper.Look()
			synctest.Wait()
			if r.status("one").Waiting == promise.Limit {
				waits[len(r.broker.came())] = true
			}
		}
		if told := r.count(event.RefreshPutOff); told != len(waits) || told < 4 {
			t.Errorf("told %d times of %d waits", told, len(waits))
		}
		for _, e := range r.events {
			if e.Type == event.RefreshPutOff && (e.Account != "one" || e.Kind != string(sdk.KindRateLimited) || !e.Next.After(e.Time) ||
				!strings.HasPrefix(e.Message, "the broker's limit is reached: 4 of the 5 requests that it allows an hour were made since ") ||
				!strings.HasSuffix(e.Message, "tokenkeeper refresh one --force")) {
				t.Errorf("%+v", e)
			}
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// What the broker has answered is taken, whatever was asked for before: it is the same
// call again.
func TestLimitKeepsNoAnswerBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
		g := r.start()
		r.broker.next("one", fault{die: spooled, kill: g.kill})
		if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		r.restart()
		g = r.start()
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 || len(r.broker.came()) != 1 {
			t.Errorf("version %d after %d requests", rec.Version, len(r.broker.came()))
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// What was not sent does not count, also if a process died before it sent.
func TestLimitCountsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
		g := r.start()
		r.broker.next("one", fault{die: beforeSend, kill: g.kill})
		if err := g.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		r.broker.setDown(true)
		g = r.start()
		time.Sleep(3 * time.Minute)
		r.broker.setDown(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 {
			t.Errorf("version %d, %+v", rec.Version, r.status("one"))
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// A code that came while a login was open is not used when the limit is reached
// meanwhile: the login stays open, and takes the code later.
func TestCodeWaitsForTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 3*time.Hour, sdk.Limits{RequestsPerHour: 2})
		g := r.start()
		synctest.Wait()
		insists := func() {
			t.Helper()
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
				t.Fatal(err)
			}
		}
		insists()
		time.Sleep(50 * time.Minute)
		state := r.beginLogin("one")
		insists()
		_, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		if !errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "the code was not used") {
			t.Errorf("%v", err)
		}
		if r.status("one").Login == nil || len(r.broker.came()) != 2 {
			t.Errorf("%d requests, %+v", len(r.broker.came()), r.status("one").Login)
		}
		time.Sleep(11 * time.Minute)
		if rec, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); err != nil || rec.Version != 4 {
			t.Errorf("version %d, %v", rec.Version, err)
		}
		if n := mostInAnHour(r.broker.came()); n != 2 {
			t.Errorf("%d in an hour", n)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}
