package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An answer with a token is kept, and read, though the provider is replaced meanwhile by
// one that guides no login.
func TestAnswerAtAProviderThatGuidesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		r.begin("one", "")
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(6 * time.Second)
		g.stop()
		<-g.done
		r.provider = r.broker
		r.restart()
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		_ = g.end()
		r.provider = guide
		r.restart()
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if rec, asks := r.record("one"), guide.asks(); rec.Version < 2 || asks[len(asks)-1].attempt != asks[0].attempt {
			t.Errorf("version %d, asked %d times", rec.Version, len(guide.asks()))
		}
		_ = g.end()
	})
}

// A broker that wants three minutes between two polls gets them.
func TestPollsKeepToALongPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginApproval)
		guide.every = 3 * time.Minute
		guide.say(pending, pending)
		g := r.start()
		synctest.Wait()
		r.begin("one", "")
		time.Sleep(5 * time.Minute)
		if n := len(guide.asks()); n > 1 {
			t.Errorf("asked %d times in 5 minutes, and it wants 3 between two", n)
		}
		_ = g.end()
	})
}

// What a broker says beside "not yet" counts for all polls that follow.
func TestRetryAfterHoldsFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginApproval)
		slower := &sdk.Error{Kind: sdk.KindPending, Message: "slower", RetryAfter: 30 * time.Second}
		guide.say(slower, pending, pending, pending)
		g := r.start()
		synctest.Wait()
		start := time.Now()
		r.begin("one", "")
		time.Sleep(2 * time.Minute)
		var last time.Duration
		for _, a := range guide.asks() {
			if d := a.at.Sub(start) - last; last > 0 && d < 30*time.Second {
				t.Errorf("%s between two", d)
			}
			last = a.at.Sub(start)
		}
		_ = g.end()
	})
}

// Polls that the broker answers late take the place of no refresh, of which there are four.
func TestPollsTakeNoPlaceOfRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		six := []string{"a", "b", "c", "d", "e", "f"}
		r, guide := guidedRig(t, append([]string{"one"}, six...), sdk.LoginApproval)
		guide.every, guide.lasts = time.Second, time.Hour
		g := r.start()
		time.Sleep(30 * time.Minute)
		for _, name := range six {
			for range 200 {
				r.broker.next(name, fault{before: func() { time.Sleep(25 * time.Second) }})
				guide.say(pending)
			}
			if _, err := r.keeper.BeginLogin(t.Context(), name, "", event.Caller{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		dead := 0
		for range 40 * 6 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			r.keeper.Look()
			if !r.record("one").Token.Valid(time.Now()) {
				dead++
			}
		}
		if dead > 0 {
			t.Errorf("one had no living token for %ds", dead*10)
		}
		_ = g.end()
	})
}

// A login of this machine is one whenever its token comes: at a store of another machine
// its account is refreshed, also if the token was taken from the spool by the next start.
func TestLoginTakenFromTheSpoolEndsItsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		var hold refresh.Hold
		r.loggedIn = func(_ context.Context, rec store.Record) {
			hold.Logins = map[string]time.Time{rec.Account: rec.LoginAt}
			r.keeper.Hold(&hold)
		}
		hold.Reason = "it is another machine's"
		r.restart()
		r.keeper.Hold(&hold)
		g := r.start()
		synctest.Wait()
		r.begin("one", "")
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(6 * time.Second)
		g.stop()
		<-g.done
		r.restart()
		r.keeper.Hold(&hold)
		g = r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.Withheld != "" || s.Record.Version < 3 {
			t.Errorf("an hour after the login: version %d, withheld %q", s.Record.Version, s.Withheld)
		}
		_ = g.end()
	})
}
