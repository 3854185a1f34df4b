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

// keepingRig is a broker that leaves refresh tokens as they are and says nothing of how
// they die; account one has a token of which an answer, or a document, has said that.
func keepingRig(t *testing.T, left time.Duration) (r *rig, end time.Time) {
	r = newRigWith(t, time.Hour, left, "one")
	r.broker.keeps, r.broker.fixed = true, true
	token := r.broker.grant("one")
	token.RefreshLifetime = left
	if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, true); err != nil {
		t.Fatal(err)
	}
	return r, r.wall().Add(left)
}

// An answer that keeps the refresh token and says nothing of its end does not put that
// off (RFC 6749, section 6): the last refresh comes before it, people can see it and are
// told of it, and nothing is sent after it.
func TestRefreshTokenThatStaysDiesWhenItWasSaid(t *testing.T) {
	for name, restarts := range map[string]bool{"in one run": false, "over restarts": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, end := keepingRig(t, 5*time.Hour)
				g := r.start()
				for r.wall().Before(end.Add(-30 * time.Minute)) {
					time.Sleep(25 * time.Minute)
					synctest.Wait()
					s := r.status("one")
					if apart := s.Record.RefreshExpiry.Sub(end); apart.Abs() > time.Second || s.EndMoves || s.EndGuessed || s.State != refresh.Valid {
						t.Errorf("%s at version %d: its refresh token dies %s, want %s (moves: %t, a guess: %t)", s.State, s.Record.Version, s.Record.RefreshExpiry, end, s.EndMoves, s.EndGuessed)
					}
					if restarts {
						_ = g.end()
						r.restart()
						g = r.start()
					}
				}
				time.Sleep(end.Sub(r.wall()) - time.Second)
				synctest.Wait()
				r.broker.mu.Lock()
				last := r.broker.sentAt[len(r.broker.sentAt)-1]
				r.broker.mu.Unlock()
				if left := end.Sub(last); left <= 0 || left > 15*time.Minute || r.broker.count() > 16 {
					t.Errorf("the last of %d refreshes was %s before the end", r.broker.count(), left)
				}
				sent := r.broker.count()
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.NeedsLogin || r.broker.refusals() > 0 || r.broker.count() > sent+1 {
					t.Errorf("%s, %d requests after the end, %d of them refused", s.State, r.broker.count()-sent, r.broker.refusals())
				}
				_ = g.end()
			})
		})
	}
}

// An access token that outlives the refresh token keeps nobody from the last refresh.
func TestLastRefreshOfATokenThatADocumentDated(t *testing.T) {
	for name, origin := range map[string]store.Origin{"found in a file": store.OriginExternal, "given back by a sink": store.OriginRestore} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, time.Hour, 20*time.Minute, "one")
				r.broker.fixed = true
				there := r.broker.grant("one")
				end := r.wall().Add(20 * time.Minute)
				r.asks(func(_ context.Context, rec store.Record) refresh.Elsewhere {
					if rec.Version > 1 {
						return refresh.Elsewhere{}
					}
					found := foundThere(there)
					found.Newer.RefreshExpiry, found.Origin = end, origin
					return found
				})
				g := r.start()
				synctest.Wait()
				if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
					t.Log(err)
				}
				if s := r.status("one"); s.Record.Version != 2 || !s.Record.RefreshExpiry.Equal(end) || s.Due.After(end.Add(-time.Minute)) {
					t.Errorf("version %d: its refresh token dies %s, want %s; due %s", s.Record.Version, s.Record.RefreshExpiry, end, s.Due)
				}
				time.Sleep(21 * time.Minute)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || !s.Record.RefreshExpiry.IsZero() {
					t.Errorf("%s at version %d, whose refresh token dies %s", s.State, s.Record.Version, s.Record.RefreshExpiry)
				}
				_ = g.end()
			})
		})
	}
}

// A refresh token that is new has the end that its answer says, or else the provider's
// policy, or none.
func TestNewRefreshTokenHasAnEndOfItsOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		says, policy, want time.Duration
	}{"as the answer says": {time.Hour, 2 * time.Hour, time.Hour}, "as the policy says": {0, 2 * time.Hour, 2 * time.Hour}, "nobody knows": {0, 0, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := keepingRig(t, 5*time.Hour)
				r.broker.keeps, r.broker.fixed, r.broker.policyLife = false, false, tt.policy
				r.broker.next("one", fault{says: func(t *sdk.Token) { t.RefreshLifetime = tt.says }})
				g := r.start()
				time.Sleep(45*time.Minute + time.Second)
				synctest.Wait()
				s := r.status("one")
				if left := s.Record.RefreshExpiry.Sub(s.Record.Token.IssuedAt); s.Record.Version != 3 || tt.want == 0 != s.Record.RefreshExpiry.IsZero() || tt.want > 0 && left != tt.want {
					t.Errorf("version %d: its refresh token dies %s, after %s", s.Record.Version, s.Record.RefreshExpiry, left)
				}
				_ = g.end()
			})
		})
	}
}

// One that each refresh lets live anew, by the provider's word, does so for as long as the
// broker has said last.
func TestSlidingRefreshTokenThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := keepingRig(t, 2*time.Hour)
		r.broker.fixed = false
		r.broker.next("one", fault{says: func(t *sdk.Token) { t.RefreshLifetime = 30 * time.Minute }})
		g := r.start()
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		s := r.status("one")
		if left := s.Record.RefreshExpiry.Sub(s.Record.Token.IssuedAt); left != 30*time.Minute || !s.EndMoves || s.Record.Token.IssuedAt.Before(r.wall().Add(-16*time.Minute)) {
			t.Errorf("issued %s, its refresh token lives %s (moves: %t)", s.Record.Token.IssuedAt, left, s.EndMoves)
		}
		_ = g.end()
	})
}

// A refresh that worked after the end that was said shows that nobody knows the end.
func TestRefreshTokenThatOutlivesWhatWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, end := keepingRig(t, 2*time.Hour)
		r.broker.refreshLife = 0 // it was not so
		defer r.watch()()
		g := r.start()
		time.Sleep(end.Sub(r.wall()) + time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Errorf("%s after the end", s.State)
		}
		if did, err := r.keeper.Refresh(t.Context(), "one", true); err != nil || !did {
			t.Error(did, err)
		}
		if s := r.status("one"); s.State != refresh.Valid || !s.Record.RefreshExpiry.IsZero() || s.Record.LoginUncertain || r.count(event.NeedsLogin) > 0 {
			t.Errorf("%s, it dies %s", s.State, s.Record.RefreshExpiry)
		}
		_ = g.end()
	})
}
