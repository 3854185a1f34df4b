package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// To ask whether a person is done is no request that gets a token.
func TestPollsAreNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		r.broker.limits = sdk.Limits{RequestsPerHour: 1, FailedLoginsPerHour: 2}
		guide.say(pending, slowDown, pending, pending)
		g := r.start()
		synctest.Wait()
		l := r.begin("one", sdk.LoginDevice)
		if _, err := r.await(l); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("the login counts: %v", err)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// Polls that fail are one request with the token that comes at last, however many they
// are: no refresh, and no person, waits for them.
func TestFailingPollsTakeNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		r.broker.limits = sdk.Limits{RequestsPerHour: 3}
		for range 6 {
			guide.say(unavailable)
		}
		g := r.start()
		synctest.Wait()
		if rec, err := r.await(r.begin("one", sdk.LoginDevice)); err != nil || rec.Version != 2 || len(guide.asks()) != 7 {
			t.Fatalf("version %d after %d polls: %v", rec.Version, len(guide.asks()), err)
		}
		g = r.anew(g)
		synctest.Wait()
		for n := range 2 {
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
				t.Errorf("refresh %d: %v", n+1, err)
			}
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("the login counts: %v", err)
		}
		_ = g.end()
	})
}

// A poll that waited for the person to be done does not count, whoever dies then.
func TestPendingPollsCountNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		r.broker.limits = sdk.Limits{RequestsPerHour: 1, FailedLoginsPerHour: 2}
		guide.say(pending, slowDown)
		g := r.start()
		synctest.Wait()
		l := r.begin("one", sdk.LoginDevice)
		time.Sleep(11 * time.Second)
		if all, err := r.store.Requests(t.Context(), "one"); len(guide.asks()) != 2 || len(all) > 0 || err != nil {
			t.Errorf("after %d polls the store has %v, %v", len(guide.asks()), all, err)
		}
		g = r.anew(g)
		if _, err := r.await(l); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, refresh.ErrLimit) {
			t.Errorf("the login counts: %v", err)
		}
		_ = g.end()
	})
}

// Where other requests have used up the hour, nothing is polled, and people are told
// why and until when.
func TestHeldPollsAreTold(t *testing.T) {
	const why = "the broker's limit is reached: 2 requests were made since 2000-01-01 00:00 UTC, and it allows 2 an hour; the next can be sent 2000-01-01 01:0"
	for _, lasts := range []time.Duration{30 * time.Minute, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r, guide := guidedRig(t, []string{"one"}, sdk.LoginDevice)
			r.broker.limits = sdk.Limits{RequestsPerHour: 2}
			guide.lasts = lasts
			g := r.start()
			synctest.Wait()
			insists := func() {
				t.Helper()
				if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
					t.Fatal(err)
				}
			}
			insists()
			time.Sleep(44 * time.Minute) // at 45 the account has its own turn
			l := r.begin("one", sdk.LoginDevice)
			insists()
			time.Sleep(time.Minute)
			if open := r.status("one").Login; open == nil || !strings.HasPrefix(open.Unpolled, why) || len(guide.asks()) > 0 {
				t.Errorf("%d polls, told %+v", len(guide.asks()), open)
			}
			if open := r.begin("one", ""); !open.Earlier || !strings.HasPrefix(open.Unpolled, why) {
				t.Errorf("who goes on with it: %+v", open)
			}
			go func() { time.Sleep(5 * time.Minute); r.keeper.Look() }()
			_, err := r.await(l)
			if over := lasts < 10*time.Minute; over && (!errors.Is(err, refresh.ErrLimit) || !strings.Contains(err.Error(), "whether it was approved could not be asked: "+why)) {
				t.Errorf("who waits is told: %v", err)
			} else if !over && (err != nil || len(guide.asks()) != 1) {
				t.Errorf("%d polls, %v", len(guide.asks()), err)
			}
			_ = g.end()
		})
	}
}
