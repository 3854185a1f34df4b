package refresh_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A grant that dies at midnight in New York is refreshed up to that, no consumer is
// told that a token lives on after it, and nothing is sent then.
func TestGrantThatDiesAtATimeOfTheDay(t *testing.T) {
	for name, certain := range map[string]bool{"documented": true, "a guess": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				midnight := time.Now().Add(5 * time.Hour) // the bubble begins at midnight UTC
				r.broker.grantEnds = sdk.Deadline{Clock: sdk.TimeOfDay{Zone: "America/New_York"}, Certain: certain}
				g := r.start()
				time.Sleep(5*time.Hour - 30*time.Second)
				synctest.Wait()
				s := r.status("one")
				if !s.Record.RefreshExpiry.Equal(midnight) || s.EndMoves || s.EndGuessed == certain || s.Record.Token.Expiry().After(midnight) {
					t.Errorf("the grant ends %s (moves: %t, a guess: %t), and its token %s", s.Record.RefreshExpiry, s.EndMoves, s.EndGuessed, s.Record.Token.Expiry())
				}
				if !s.GrantExpiry.Equal(midnight) || s.GrantExpiryUncertain == certain {
					t.Errorf("the login is said to end %s, uncertain: %t", s.GrantExpiry, s.GrantExpiryUncertain)
				}
				if s.State != refresh.Valid || s.Record.Version < 15 {
					t.Errorf("%s at version %d shortly before midnight", s.State, s.Record.Version)
				}
				before := r.broker.count()
				time.Sleep(30 * time.Minute)
				synctest.Wait()
				switch s := r.status("one"); {
				case certain && (s.State != refresh.NeedsLogin || r.broker.count() != before || !s.Due.IsZero()):
					t.Errorf("%s after midnight, due %s, after %d requests", s.State, s.Due, r.broker.count()-before)
				case !certain && (s.State != refresh.Valid):
					t.Errorf("%s after a midnight that was a guess", s.State)
				}
				_ = g.end()
			})
		})
	}
}

// A time at which a refresh token should die is called that only if its broker
// documents it.
func TestRefusalBeforeAnEndThatIsAGuess(t *testing.T) {
	for name, certain := range map[string]bool{"documented": true, "a guess": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				r.broker.grantEnds = sdk.Deadline{Clock: sdk.TimeOfDay{Zone: "America/New_York"}, Certain: certain}
				r.broker.next("one", fault{}, fault{refuse: sdk.ErrInvalidGrant})
				g := r.start()
				time.Sleep(40 * time.Minute)
				synctest.Wait()
				if told := r.lastMessage(event.NeedsLogin); told == "" || strings.Contains(told, "before it should have died") != certain {
					t.Errorf("told: %q", told)
				}
				_ = g.end()
			})
		})
	}
}

// Where a refresh ends the access token that consumers hold, it comes shortly before
// that ends by itself, unless somebody wants it otherwise.
func TestRefreshThatKillsTheAccessTokenComesLate(t *testing.T) {
	for name, tt := range map[string]struct {
		configured time.Duration
		late       time.Duration // before the end
	}{"as the provider says": {0, time.Minute}, "as somebody wants it": {4 * time.Minute, 4 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.broker.kills = true
				r.accounts[0].BeforeExpiry, r.accounts[0].Jitter = tt.configured, 30*time.Second
				r.restart()
				g := r.start()
				time.Sleep(20*time.Minute - tt.late - time.Second)
				synctest.Wait()
				s := r.status("one")
				if n := r.broker.count(); n != 0 || !s.OldAccessDies {
					t.Errorf("%d refreshes before they must be, told: %t", n, s.OldAccessDies)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := r.broker.count(); n != 1 {
					t.Errorf("%d refreshes when it is time", n)
				}
				_ = g.end()
			})
		})
	}
}
