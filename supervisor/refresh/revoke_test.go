package refresh_test

import (
	"context"
	"errors"
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

// revoking is a broker that can be asked to end a login.
type revoking struct {
	*broker
	mu    sync.Mutex
	says  error // nil: it ends it
	ends  sdk.RevokeScope
	loses bool // it ends it, and its answer is lost
	asked []sdk.RevokeRequest
	// hears, if set, is called when it is asked.
	hears func()
}

func (v *revoking) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := v.broker.Describe(ctx)
	d.Revokes = v.ends
	return d, err
}

func (v *revoking) Revoke(_ context.Context, req sdk.RevokeRequest) error {
	v.mu.Lock()
	v.asked = append(v.asked, req)
	says, ends, hears := v.says, v.says == nil || v.loses, v.hears
	v.mu.Unlock()
	if hears != nil {
		hears()
	}
	time.Sleep(120 * time.Millisecond)
	if ends {
		v.broker.mu.Lock()
		v.current[req.Account.Name] = ""
		v.broker.mu.Unlock()
	}
	return says
}

func (v *revoking) set(says error, loses bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.says, v.loses = says, loses
}

func (v *revoking) times() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.asked)
}

var byUser = event.Caller{UID: 1000}

// newRevoking is a rig with a generation of such a broker.
func newRevoking(t *testing.T, names ...string) (*rig, *revoking, *generation) {
	r := newRig(t, 20*time.Minute, names...)
	v := &revoking{broker: r.broker}
	r.provider = v
	g := r.start()
	synctest.Wait()
	return r, v, g
}

// TestRevoke: a refresh that is under way is heard out, its new token is the one whose login
// ends, and from then on nothing is sent, over a restart, until somebody brings a token.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevoking(t, "one", "two")
		defer r.watch()()
		notice, proceed := make(chan struct{}), make(chan struct{})
		r.broker.next("one", fault{notice: notice, proceed: proceed})
		go func() { _, _ = r.keeper.Refresh(t.Context(), "one", true) }()
		<-notice
		var got refresh.Revoked
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err = r.keeper.Revoke(t.Context(), "one", "", byUser)
		}()
		synctest.Wait()
		if v.times() > 0 {
			t.Fatal("the broker was asked while a refresh is under way")
		}
		close(proceed)
		<-done
		rec := r.record("one")
		if err != nil || got.Record.Version != 2 || got.Took != 120*time.Millisecond || rec.Version != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if req := v.asked[0]; len(v.asked) != 1 || !req.Token.RefreshToken.Equal(rec.Token.RefreshToken) || !req.Token.AccessToken.Equal(rec.Token.AccessToken) || req.Account.Name != "one" {
			t.Error("the broker was asked about another token")
		}
		h := rec.Health
		if !rec.NeedsLogin() || h.Revoked.IsZero() || !h.Revoked.Equal(got.Record.Health.Revoked) || h.Failures != 0 || !strings.Contains(h.LastError, "revoked by a person (user 1000) at ") {
			t.Errorf("stored: %+v", h)
		}
		if r.count(event.Revoked) != 1 || r.count(event.NeedsLogin) != 0 {
			t.Errorf("told %d times", r.count(event.Revoked))
		}
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); !errors.Is(err, refresh.ErrNotRevoked) || !strings.Contains(err.Error(), "was revoked") || v.times() != 1 {
			t.Errorf("once more: %v", err)
		}

		sent := r.broker.count()
		quiet := func(when string) {
			t.Helper()
			time.Sleep(48 * time.Hour)
			synctest.Wait()
			s := r.status("one")
			if s.State != refresh.NeedsLogin || !s.Due.IsZero() || !strings.Contains(s.LastError, "revoked by a person") || s.Advice() == "" {
				t.Errorf("%s it is %s, due %s: %s", when, s.State, s.Due, s.LastError)
			}
			if r.broker.refusals() > 0 || len(r.broker.sentTwice()) > 0 {
				t.Errorf("%s the dead token was sent", when)
			}
		}
		quiet("afterwards")
		if r.broker.count() <= sent {
			t.Error("the other account is not refreshed")
		}
		_ = g.end()
		r.restart()
		g = r.start()
		quiet("after a restart")
		if _, err := r.keeper.Refresh(t.Context(), "one", false); !errors.Is(err, refresh.ErrNeedsLogin) || !strings.Contains(err.Error(), "revoked by a person") {
			t.Errorf("asked for a refresh: %v", err)
		}
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: rec.Token}, false); err == nil {
			t.Error("the dead token was imported again")
		}
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if rec := r.record("one"); rec.NeedsLogin() || !rec.Health.Revoked.IsZero() || rec.Health.LastError != "" || rec.Version < 4 || r.status("one").State != refresh.Valid {
			t.Errorf("with a new token: version %d, %+v", rec.Version, rec.Health)
		}
		_ = g.end()
	})
}

// TestRevokeThatFails: where the broker has revoked nothing, everything is as it was.
func TestRevokeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevoking(t, "one")
		defer r.watch()()
		before := r.record("one")
		for _, says := range []error{
			&sdk.Error{Kind: sdk.KindRateLimited, HTTPStatus: 503, RetryAfter: 7 * time.Second, Message: "account one: the broker asks to come back later (HTTP 503)"},
			&sdk.Error{Kind: sdk.KindInvalidClient, HTTPStatus: 401, Message: "account one: the broker refused the client"},
			&sdk.Error{Kind: sdk.KindTransient, HTTPStatus: 400, Message: "account one: the broker does not revoke such tokens"},
			&sdk.Error{Kind: sdk.KindNotSent, Message: "account one: nothing was sent"},
			sdk.ErrUnimplemented,
		} {
			v.set(says, false)
			_, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
			if !errors.Is(err, refresh.ErrNotRevoked) || errors.Is(err, refresh.ErrRevokeUnknown) || strings.Count(err.Error(), "account one") != 1 || sdk.KindOf(err) != sdk.KindOf(says) {
				t.Errorf("%v, want %v", err, says)
			}
			if rec := r.record("one"); rec.Version != 1 || rec.Health != before.Health || r.status("one").State != refresh.Valid {
				t.Errorf("something follows from %v: %+v", says, rec.Health)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.record("one").Version < 4 || r.count(event.Revoked)+r.count(event.RevokeUnknown) > 0 {
			t.Errorf("version %d after an hour", r.record("one").Version)
		}
		_ = g.end()
	})
}

// TestRevokeOfUnknownOutcome: a token of which nobody knows whether it is revoked counts
// neither as dead nor as living. The next attempt finds out, and says what happened.
func TestRevokeOfUnknownOutcome(t *testing.T) {
	for name, says := range map[string]error{
		"ambiguous":        &sdk.Error{Kind: sdk.KindAmbiguous, Message: "account one: the answer was lost"},
		"without a kind":   errors.New("the answer was lost"),
		"without a status": &sdk.Error{Kind: sdk.KindTransient, Message: "the answer was lost"},
	} {
		for _, revoked := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r, v, g := newRevoking(t, "one")
				defer r.watch()()
				v.set(says, revoked)
				_, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
				if !errors.Is(err, refresh.ErrRevokeUnknown) || errors.Is(err, refresh.ErrNotRevoked) || !strings.Contains(err.Error(), "neither as dead nor as living") {
					t.Errorf("%s: %v", name, err)
				}
				rec, s := r.record("one"), r.status("one")
				if rec.NeedsLogin() || rec.Health.RevokeAsked.IsZero() || !rec.Health.Revoked.IsZero() || s.State != refresh.Valid || s.Due.IsZero() || r.count(event.RevokeUnknown) != 1 {
					t.Errorf("%s: %+v, %s, due %s", name, rec.Health, s.State, s.Due)
				}
				if !s.RevokeUnknown.Equal(rec.Health.RevokeAsked) {
					t.Errorf("%s: unknown since %s, asked at %s", name, s.RevokeUnknown, rec.Health.RevokeAsked)
				}
				_ = g.end()
				r.restart()
				g = r.start()
				time.Sleep(time.Hour)
				synctest.Wait()
				rec = r.record("one")
				switch {
				case revoked && (!rec.NeedsLogin() || r.broker.refusals() != 1 || r.count(event.NeedsLogin) != 1):
					t.Errorf("%s, revoked: %+v, refused %d times", name, rec.Health, r.broker.refusals())
				case !revoked && (rec.NeedsLogin() || rec.Version < 4 || !rec.Health.RevokeAsked.IsZero()):
					t.Errorf("%s, not revoked: version %d, %+v", name, rec.Version, rec.Health)
				}
				if at := r.status("one").RevokeUnknown; !at.IsZero() {
					t.Errorf("%s, found out: unknown since %s", name, at)
				}
				if revoked {
					r.mu.Lock()
					last := r.events[len(r.events)-1].Message
					r.mu.Unlock()
					if !strings.Contains(last, "to revoke the login, and the answer was lost: most likely it has") {
						t.Errorf("%s, told: %s", name, last)
					}
				}
				_ = g.end()
			})
		}
	}
}

// TestRevokeWhoseProcessDies: nobody knows then, either.
func TestRevokeWhoseProcessDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevoking(t, "one")
		v.hears = func() { g.kill() }
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); !errors.Is(err, refresh.ErrRevokeUnknown) {
			t.Errorf("%v", err)
		}
		if rec := r.record("one"); rec.NeedsLogin() || rec.Health.RevokeAsked.IsZero() {
			t.Errorf("stored: %+v", rec.Health)
		}
		_ = g.died()
	})
}

// TestRevokeThatIsNotAsked: nothing is asked of a broker where his word would say nothing,
// where nobody can ask him, or where it can't be noted.
func TestRevokeThatIsNotAsked(t *testing.T) {
	refused := func(t *testing.T, r *rig, asked func() int, want string) {
		t.Helper()
		before, err := r.store.Load(t.Context(), "one")
		_, _, planErr := r.keeper.Revocable("one")
		_, gotErr := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if gotErr == nil || errors.Is(gotErr, refresh.ErrRevokeUnknown) || !strings.Contains(gotErr.Error(), want) || asked() > 0 {
			t.Errorf("%v; %q is not in: %v", planErr, want, gotErr)
		}
		if after, aerr := r.store.Load(t.Context(), "one"); (aerr == nil) != (err == nil) || after.Health != before.Health || after.Version != before.Version {
			t.Errorf("%s: something follows: %+v", want, after.Health)
		}
	}
	for name, tt := range map[string]func(t *testing.T, r *rig, v *revoking) (want string){
		"an attempt of unknown outcome": func(t *testing.T, r *rig, _ *revoking) string {
			r.broker.next("one", fault{loseAnswer: true})
			_, _ = r.keeper.Refresh(t.Context(), "one", true)
			return "nobody knows whether an earlier attempt has used up its token"
		},
		"a refused token": func(t *testing.T, r *rig, _ *revoking) string {
			r.broker.grant("one") // so that ours is dead
			_, _ = r.keeper.Refresh(t.Context(), "one", true)
			return "the broker has refused its token already"
		},
		"withheld": func(t *testing.T, r *rig, _ *revoking) string {
			r.keeper.Hold(&refresh.Hold{Reason: "it is another machine's: tokenkeeper adopt"})
			return "it is another machine's: tokenkeeper adopt"
		},
		"gone who has asked": func(t *testing.T, r *rig, _ *revoking) string { return "context canceled" },
		"a broker that nobody can ask": func(t *testing.T, r *rig, _ *revoking) string {
			return "provider fake knows no way to have its broker end a login"
		},
		"no process": func(t *testing.T, r *rig, _ *revoking) string { return "no process" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				v := &revoking{broker: r.broker}
				r.provider = v
				switch name {
				case "a broker that nobody can ask":
					r.provider = nil
				case "no process":
					refused(t, r, v.times, "")
					return
				}
				g := r.start()
				synctest.Wait()
				want := tt(t, r, v)
				synctest.Wait()
				if name == "gone who has asked" {
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					if _, err := r.keeper.Revoke(ctx, "one", "", byUser); err == nil || v.times() > 0 {
						t.Errorf("%v", err)
					}
				} else {
					refused(t, r, v.times, want)
				}
				_ = g.end()
			})
		})
	}
	if _, _, err := (&refresh.Keeper{}).Revocable("none"); !errors.Is(err, refresh.ErrUnknownAccount) {
		t.Errorf("an account that is not there: %v", err)
	}
}

// unnoted is a store that takes no Health.
type unnoted struct {
	store.Store
	mu    sync.Mutex
	after int // how many it takes before
}

func (s *unnoted) Abandon(ctx context.Context, account, attempt string, at store.Basis, h store.Health) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after--; s.after < 0 {
		return store.ErrDisk
	}
	return s.Store.Abandon(ctx, account, attempt, at, h)
}

// TestRevokeThatIsNotNoted: what can't be noted before is not asked for. What can't be
// noted afterwards is told, and found out by the next attempt.
func TestRevokeThatIsNotNoted(t *testing.T) {
	for takes, asked := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			v, s := &revoking{broker: r.broker}, &unnoted{Store: r.store, after: takes}
			r.store, r.provider = s, v
			r.restart()
			g := r.start()
			synctest.Wait()
			_, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
			want := []string{"it could not be noted that the broker is asked", "the broker has revoked its login, and that could not be noted"}[takes]
			if v.times() != asked || err == nil || errors.Is(err, refresh.ErrNotRevoked) != (takes == 0) || !strings.Contains(err.Error(), want) {
				t.Errorf("asked %d times: %v", v.times(), err)
			}
			if rec := r.record("one"); rec.NeedsLogin() || rec.Health.RevokeAsked.IsZero() != (takes == 0) {
				t.Errorf("stored: %+v", rec.Health)
			}
			_ = g.end()
		})
	}
}

// TestRevokeOfTheWholeClient: what else a broker ends with a login it ends only if a person
// has agreed to that, and what a later provider says that it ends is taken for all.
func TestRevokeOfTheWholeClient(t *testing.T) {
	for said, needs := range map[sdk.RevokeScope]bool{"": false, sdk.RevokesToken: false, sdk.RevokesGrant: false, sdk.RevokesClient: true, "everything": true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			v := &revoking{broker: r.broker, ends: said}
			r.provider = v
			g := r.start()
			synctest.Wait()
			_, ends, err := r.keeper.Revocable("one")
			if err != nil || (ends == sdk.RevokesClient) != needs || ends == "" {
				t.Errorf("%q ends %q: %v", said, ends, err)
			}
			if _, err := r.keeper.Revoke(t.Context(), "one", sdk.RevokesGrant, byUser); needs && (!errors.Is(err, refresh.ErrNotRevoked) || !strings.Contains(err.Error(), "?ends=client") || v.times() > 0) || !needs && err != nil {
				t.Errorf("%q: asked %d times: %v", said, v.times(), err)
			}
			if needs {
				if got, err := r.keeper.Revoke(t.Context(), "one", sdk.RevokesClient, byUser); err != nil || got.Ends != sdk.RevokesClient || v.times() != 1 {
					t.Errorf("%q: %+v, %v", said, got, err)
				}
			}
			_ = g.end()
		})
	}
}
