package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// What a person is told of a refresh that fails names the account once, and the
// command that helps.
func TestErrorsOfARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		refuse := func(kind sdk.Kind, message string) string {
			r.broker.next("one", fault{refuse: &sdk.Error{Kind: kind, Message: message}})
			_, err := r.keeper.Refresh(t.Context(), "one", true)
			if err == nil {
				t.Fatal("the refresh did not fail")
			}
			return err.Error()
		}
		if got, want := refuse(sdk.KindTransient, "account one: HTTP 503"), "account one: HTTP 503"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got, want := refuse(sdk.KindTransient, "HTTP 503"), "account one: HTTP 503"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		refuse(sdk.KindInvalidGrant, "account one: refused")
		_, err := r.keeper.Refresh(t.Context(), "one", false)
		if want := "account one: the account needs a login (its refresh token came from an import of 2000-01-01 00:00 UTC; refused); log in with: tokenkeeper login one"; err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
		_ = g.end()
	})
}

// A broker that takes requests and answers none, or answers no better after
// one that it did not answer, is asked ever more rarely, and people are told.
func TestFailuresInARowCountWhileAnAttemptIsOpen(t *testing.T) {
	lost := fault{refuse: &sdk.Error{Kind: sdk.KindAmbiguous, Message: "no answer came"}}
	down := fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}}
	for name, then := range map[string]fault{"no answer ever": lost, "down after a lost answer": down} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				r.broker.next("one", lost)
				for range 5000 {
					r.broker.next("one", then)
				}
				g := r.start()
				time.Sleep(15*time.Minute + 5*time.Hour)
				synctest.Wait()
				s := r.status("one")
				if s.Record.Health.Failures < s.MaxFailures || !r.nudged() {
					t.Errorf("%d failures in a row are no alert, or nobody looks", s.Record.Health.Failures)
				}
				if s.Record.Health.LastError == "" || s.AmbiguousSince.IsZero() || s.State != refresh.Expired {
					t.Errorf("the status does not tell of it: %s, ambiguous since %s, %+v", s.State, s.AmbiguousSince, s.Record.Health)
				}
				// As many as of any other failure: a few up to the expiry of
				// the access token, and then one a minute.
				if n := r.broker.count(); n > 320 {
					t.Errorf("%d requests in 5 h", n)
				}
				_ = g.end()
			})
		})
	}
}
