package refresh_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// notYet fails the test unless a newer token than that of a version has to wait for so
// long, for that reason, and nothing is asked of the broker.
func (r *rig) notYet(when string, than uint64, wait time.Duration, why string) {
	r.t.Helper()
	synctest.Wait()
	posts, now := r.broker.count(), r.wall()
	err := r.keeper.Newer(r.t.Context(), "one", than, nil)
	late, ok := errors.AsType[*refresh.NotYet](err)
	if !ok || !strings.Contains(err.Error(), why) || late.Account != "one" {
		r.t.Errorf("%s: %v, want %q", when, err, why)
		return
	}
	if off := late.Until.Sub(now) - wait; off < -time.Second || off > wait/4+time.Second { // chance makes pauses longer
		r.t.Errorf("%s: it waits %s, want %s", when, late.Until.Sub(now), wait)
	}
	synctest.Wait()
	if n := r.broker.count(); n != posts {
		r.t.Errorf("%s: %d requests were made", when, n-posts)
	}
}

// However many programs ask for a newer token, and however often, the account is
// refreshed once for them in a minute; who has an old one is given what there is.
func TestProgramsShareOneNewerToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := r.keeper.Newer(t.Context(), "one", 1, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if v, n := r.record("one").Version, r.broker.count(); v != 2 || n != 1 {
			t.Errorf("version %d after %d requests", v, n)
		}
		if err := r.keeper.Newer(t.Context(), "one", 1, nil); err != nil {
			t.Errorf("an old version: %v", err)
		}
		r.notYet("within the minute", 2, time.Minute, "it was refreshed for one 0s ago, and that is done once in 60s")
		time.Sleep(50 * time.Second)
		r.notYet("later in the minute", 2, 10*time.Second, "for one 50s ago")
		time.Sleep(10 * time.Second)
		if err := r.keeper.Newer(t.Context(), "one", 2, nil); err != nil {
			t.Errorf("after the minute: %v", err)
		}
		if v, n := r.record("one").Version, r.broker.count(); v != 3 || n != 2 {
			t.Errorf("version %d after %d requests", v, n)
		}
		if err := r.keeper.Newer(t.Context(), "one", 9, nil); !errors.Is(err, refresh.ErrNotThere) || !strings.Contains(err.Error(), "version 3") {
			t.Errorf("a version that is not there: %v", err)
		}
		if err := r.keeper.Newer(t.Context(), "nobody", 1, nil); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("nobody: %v", err)
		}
		_ = g.end()
	})
}

// Who asks while the refresh for another one is not announced yet waits for that.
func TestProgramsJoinATurnThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		var asking chan struct{}
		r.elsewhere = func(context.Context, store.Record) refresh.Elsewhere {
			if asking != nil {
				<-asking
			}
			return refresh.Elsewhere{}
		}
		r.restart()
		g := r.start()
		synctest.Wait()
		asking = make(chan struct{})
		answers := make(chan error, 2)
		for range 2 {
			go func() { answers <- r.keeper.Newer(t.Context(), "one", 1, nil) }()
			synctest.Wait() // the first one's turn asks its destinations
		}
		close(asking)
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		_ = g.end()
	})
}

// A program's wish goes over no pause, neither one that the broker has asked for nor that
// after a failure.
func TestProgramsWaitForPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindRateLimited, Message: "HTTP 429", HTTPStatus: 429, RetryAfter: 10 * time.Minute}})
		if err := r.keeper.Newer(t.Context(), "one", 1, nil); sdk.KindOf(err) != sdk.KindRateLimited {
			t.Fatalf("the first: %v", err)
		}
		r.notYet("Retry-After", 1, 10*time.Minute, "the server asked for a pause (HTTP 429)")
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if v := r.record("one").Version; v != 2 {
			t.Errorf("version %d after the pause", v)
		}
		r.broker.next("one", fault{refuse: unavailable}, fault{refuse: unavailable})
		if err := r.keeper.Newer(t.Context(), "one", 2, nil); sdk.KindOf(err) != sdk.KindTransient {
			t.Fatalf("a failure: %v", err)
		}
		r.notYet("back-off", 2, 2*time.Second, "the pause after a failure (HTTP 503)")
		_ = g.end()
	})
}

// Who needs a person is told so, and nothing that was refused is sent because of a program.
func TestProgramsGetNoNewerTokenWithoutALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		r.broker.grant("one") // another login has ended ours
		if err := r.keeper.Newer(t.Context(), "one", 1, nil); !errors.Is(err, sdk.ErrInvalidGrant) {
			t.Fatalf("the refusal: %v", err)
		}
		for range 3 {
			time.Sleep(2 * time.Minute)
			if err := r.keeper.Newer(t.Context(), "one", 1, nil); !errors.Is(err, refresh.ErrNeedsLogin) {
				t.Errorf("after it: %v", err)
			}
		}
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		_ = g.end()
	})
}

// What a broker allows in an hour is for programs, but for what is left to a person.
func TestProgramsKeepToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 2*time.Hour, sdk.Limits{RequestsPerHour: 3})
		g := r.start()
		synctest.Wait()
		for v := range uint64(2) {
			if err := r.keeper.Newer(t.Context(), "one", v+1, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
		r.notYet("at the limit", 3, 56*time.Minute, "the broker's limit is reached: 2 of the 3 requests")
		if did, err := r.keeper.Refresh(t.Context(), "one", true); !did || err != nil {
			t.Errorf("a person's: %v", err)
		}
		_ = g.end()
	})
}

// A program that asks again and again leaves an account the requests that it needs itself:
// no token expires because of it.
func TestProgramsLeaveTheAccountEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 6}) // it needs four
		g := r.start()
		synctest.Wait()
		served := 0
		for minute := range 6 * 60 {
			if err := r.keeper.Newer(t.Context(), "one", r.record("one").Version, nil); err == nil {
				served++
			} else if late, ok := errors.AsType[*refresh.NotYet](err); !ok || !late.Until.After(r.wall()) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if tok := r.record("one").Token; !tok.Valid(r.wall()) {
				t.Fatalf("minute %d: the token has expired: %s", minute, r.status("one").WaitingText)
			}
		}
		if came := r.broker.came(); served < 6 || mostInAnHour(came) > 5 {
			t.Errorf("%d served; %d in the fullest hour", served, mostInAnHour(came))
		}
		_ = g.end()
	})
}

// Whoever has a program's refresh made for it alone is asked whether it may, and told if that
// is the last that the broker allows; who is served by something else is not asked.
func TestProgramsHaveTheirTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 2*time.Hour, sdk.Limits{RequestsPerHour: 3})
		g := r.start()
		synctest.Wait()
		no := errors.New("no")
		var asked []bool
		may := func(err error) func(bool) error {
			return func(last bool) error { asked = append(asked, last); return err }
		}
		if err := r.keeper.Newer(t.Context(), "one", 1, may(no)); err != no || r.broker.count() != 0 {
			t.Errorf("refused: %v, %d requests", err, r.broker.count())
		}
		answers := make(chan error)
		for range 5 { // others are not kept from it by who was refused
			go func() { answers <- r.keeper.Newer(t.Context(), "one", 1, may(nil)) }()
		}
		for range 5 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		r.must(r.keeper.Newer(t.Context(), "one", 1, may(no)))
		r.notYet("within the minute", 2, time.Minute, "that is done once in 60s")
		if want := []bool{false, false}; !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		time.Sleep(2 * time.Minute)
		r.must(r.keeper.Newer(t.Context(), "one", 2, may(nil)))
		if want := []bool{false, false, true}; !slices.Equal(asked, want) || r.broker.count() != 2 {
			t.Errorf("asked %v, want %v; %d requests", asked, want, r.broker.count())
		}
		_ = g.end()
	})
}

// A login that is open, or a better token that is asked for elsewhere, goes first.
func TestProgramsWaitForALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 40*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7}); err != nil {
			t.Fatal(err)
		}
		r.notYet("a login is open", 1, 15*time.Minute, "a login is open, begun ")
		if _, err := r.keeper.CancelLogin(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		r.keeper.Postpone("one", r.wall().Add(time.Minute))
		r.notYet("postponed", 1, time.Minute, "a better token is asked for elsewhere")
		r.keeper.Postpone("one", time.Time{})
		if err := r.keeper.Newer(t.Context(), "one", 1, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		_ = g.end()
	})
}

// Whatever brings a newer token serves programs: a refresh that is under way, or a person.
func TestAnyNewerTokenServesPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		answers := make(chan error, 1)
		ask := func(than uint64) { answers <- r.keeper.Newer(t.Context(), "one", than, nil) }
		go ask(1) // no process runs
		synctest.Wait()
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			t.Fatal(err)
		}
		if err := <-answers; err != nil {
			t.Errorf("by an import: %v", err)
		}
		g := r.start()
		synctest.Wait()
		notice, proceed := make(chan struct{}), make(chan struct{})
		r.broker.next("one", fault{notice: notice, proceed: proceed})
		<-notice // at its due moment
		go ask(2)
		synctest.Wait()
		close(proceed)
		if err := <-answers; err != nil {
			t.Errorf("by the refresh under way: %v", err)
		}
		synctest.Wait()
		if v, n := r.record("one").Version, r.broker.count(); v != 3 || n != 1 {
			t.Errorf("version %d after %d requests", v, n)
		}
		_ = g.end()
	})
}
