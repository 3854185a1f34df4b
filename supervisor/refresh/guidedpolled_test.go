package refresh_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A login that is polled is asked for at its pace until the person is done: each time
// by another attempt, and what is pending counts for nothing.
func TestPolledLogin(t *testing.T) {
	for _, shape := range []sdk.LoginShape{sdk.LoginDevice, sdk.LoginApproval} {
		synctest.Test(t, func(t *testing.T) {
			r, g := guidedRig(t, []string{"one"}, shape)
			defer r.watch()()
			gen := r.start()
			synctest.Wait()
			g.say(pending, slowDown, pending)
			start := time.Now()
			l := r.begin("one", "")
			if !l.Polled || l.Shape != shape || l.URL == "" || (l.UserCode != "") != (shape == sdk.LoginDevice) {
				t.Errorf("begun: %+v", l)
			}
			if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("x")); !errors.Is(err, login.ErrNothingToHandIn) {
				t.Errorf("handed in: %v", err)
			}
			rec, err := r.await(l)
			if err != nil || rec.Version != 2 || rec.Origin != store.OriginLogin || rec.Grant != 2 {
				t.Fatalf("version %d by %s, %v", rec.Version, rec.Origin, err)
			}
			var at []time.Duration
			attempts := map[string]bool{}
			for _, a := range g.asks() {
				at, attempts[a.attempt] = append(at, a.at.Sub(start)), true
				if a.login.Private["device_code"].Reveal() != "device-1" || a.given != "" {
					t.Errorf("asked with %+v", a)
				}
			}
			if want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second}; fmt.Sprint(at) != fmt.Sprint(want) || len(attempts) != len(want) {
				t.Errorf("asked after %v by %d attempts, want %v", at, len(attempts), want)
			}
			synctest.Wait()
			if n := r.count(event.LoginFailed); n > 0 || r.status("one").Record.Health.Failures > 0 || len(r.keeper.Facts()) > 0 || r.storedLogins() > 0 || r.count(event.LoggedIn) != 1 {
				t.Errorf("%d failures told, %+v, %d logins left", n, r.status("one").Record.Health, r.storedLogins())
			}
			if again, err := r.await(l); err != nil || again.Version != 2 {
				t.Errorf("waited for once it was over: version %d, %v", again.Version, err)
			}
			if _, err := r.keeper.AwaitLogin(t.Context(), "one", "another"); !errors.Is(err, login.ErrNotOpen) {
				t.Errorf("of another: %v", err)
			}
			_ = gen.end()
		})
	}
}

// How a polled login ends without a token, and what is said of it.
func TestPolledLoginEndsWithoutAToken(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*rig, *guide, login.Begun)
		says string
		told int
	}{
		"declined": {func(r *rig, g *guide, _ login.Begun) { g.say(pending, declined) }, "the login was declined at the broker; begin again with: tokenkeeper login one", 1},
		"expired at the broker": {func(_ *rig, g *guide, _ login.Begun) {
			g.say(&sdk.Error{Kind: sdk.KindInvalidGrant, Message: "expired_token", OAuthError: "expired_token", HTTPStatus: 400})
		}, "the login was not approved in time; begin again with: tokenkeeper login one", 1},
		"an answer was lost": {func(_ *rig, g *guide, _ login.Begun) {
			g.say(&sdk.Error{Kind: sdk.KindAmbiguous, Message: "cut"}, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "invalid_grant", HTTPStatus: 400})
		}, "most likely because an earlier answer to it was lost", 1},
		"over by itself": {func(r *rig, g *guide, _ login.Begun) {
			for range 40 {
				g.say(pending)
			}
			go func() { time.Sleep(181 * time.Second); r.keeper.Look() }()
		}, "the login was not completed in time, and is over; begin again with: tokenkeeper login one", 0},
		"cancelled": {func(r *rig, g *guide, _ login.Begun) {
			g.say(pending, pending)
			go func() {
				time.Sleep(7 * time.Second)
				if _, err := r.keeper.CancelLogin(r.t.Context(), "one"); err != nil {
					r.t.Error(err)
				}
			}()
		}, "the login was cancelled; begin again with: tokenkeeper login one", 0},
		"cancelled while it is polled": {func(r *rig, g *guide, _ login.Begun) {
			g.say(pending, pending)
			r.broker.setTakes(4 * time.Second)
			go func() {
				time.Sleep(7 * time.Second)
				if _, err := r.keeper.CancelLogin(r.t.Context(), "one"); err != nil {
					r.t.Error(err)
				}
			}()
		}, "the login was cancelled", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, g := guidedRig(t, []string{"one"}, sdk.LoginDevice)
				g.lasts = 3 * time.Minute
				defer r.watch()()
				gen := r.start()
				synctest.Wait()
				l := r.begin("one", sdk.LoginDevice)
				tt.end(r, g, l)
				_, err := r.await(l)
				if err == nil || !strings.HasPrefix(err.Error(), "account one: ") || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "device-1") {
					t.Errorf("%v", err)
				}
				synctest.Wait()
				asked := len(g.asks())
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if n := len(g.asks()); n != asked || r.storedLogins() > 0 || r.status("one").Login != nil || r.count(event.LoginFailed) != tt.told {
					t.Errorf("polled %d times afterwards; %d logins left, told %d times", n-asked, r.storedLogins(), r.count(event.LoginFailed))
				}
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 1 || s.Record.Health.Failures > 0 {
					t.Errorf("%s at version %d", s.State, s.Record.Version)
				}
				_ = gen.end()
			})
		})
	}
}

// Whoever dies while a login is polled, or between two polls, loses nothing: the login
// goes on, with what it began with, and a token that was answered is taken.
func TestDeathDuringAPoll(t *testing.T) {
	for _, supervisor := range []bool{false, true} {
		for _, tt := range []struct {
			window window
			token  bool // the poll brought one
			polls  int  // in all
		}{{nowhere, false, 2}, {beforeSend, false, 3}, {sent, false, 2}, {spooled, true, 2}} {
			t.Run(fmt.Sprintf("window %d, supervisor %t", tt.window, supervisor), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, g := guidedRig(t, []string{"one"}, sdk.LoginDevice)
					defer r.watch()()
					gen := r.start()
					synctest.Wait()
					l := r.begin("one", "")
					if !tt.token {
						g.say(pending)
					}
					if tt.window == nowhere {
						time.Sleep(7 * time.Second)
						gen.kill()
						gen.stop()
						<-gen.done
					} else {
						r.broker.next("one", fault{die: tt.window, kill: func() { gen.kill() }})
						time.Sleep(6 * time.Second)
						gen.stop()
						<-gen.done
					}
					if supervisor {
						time.Sleep(20 * time.Minute) // it is over by now, and its answer is not
						if !tt.token {
							r.jumpBy(-20 * time.Minute)
						}
						r.restart()
						r.keeper.Look()
						synctest.Wait()
					}
					gen = r.start()
					synctest.Wait()
					rec, err := r.await(l)
					if err != nil || rec.Version != 2 {
						t.Fatalf("version %d, %v", rec.Version, err)
					}
					asks := g.asks()
					last := asks[len(asks)-1]
					if last.login.Private["device_code"].Reveal() != "device-1" || (last.attempt == asks[0].attempt) != tt.token {
						t.Errorf("asked with %+v", last)
					}
					if n := r.count(event.LoginFailed); n > 0 || r.storedLogins() > 0 || len(asks) != tt.polls {
						t.Errorf("told %d times, %d logins left, asked %d times", n, r.storedLogins(), len(asks))
					}
					_ = gen.end()
				})
			})
		}
	}
}

// The open login holds back refreshes, as any, but a login that is polled stands over a
// refresh that is under way.
func TestPollBesideARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := guidedRig(t, []string{"one"}, sdk.LoginDevice)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		proceed := make(chan struct{})
		r.broker.next("one", fault{notice: make(chan struct{}), proceed: proceed})
		go func() { _, _ = r.keeper.Refresh(context.Background(), "one", true) }()
		synctest.Wait()
		g.say(pending)
		l := r.begin("one", "")
		rec, err := r.await(l)
		if err != nil || rec.Origin != store.OriginLogin || rec.Version != 2 {
			t.Fatalf("version %d by %s, %v", rec.Version, rec.Origin, err)
		}
		close(proceed)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 2 || rec.Origin != store.OriginLogin || len(g.asks()) != 2 {
			t.Errorf("version %d by %s, asked %d times", rec.Version, rec.Origin, len(g.asks()))
		}
		_ = gen.end()
	})
}

// Another person's login waits to be confirmed, whatever its shape.
func TestPolledLoginOfAnotherPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guidedRig(t, nil, sdk.LoginDevice)
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "one"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		r.broker.who = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","sub":"anna"}`)) + ".x"
		if _, err := r.await(r.begin("one", "")); err != nil {
			t.Fatal(err)
		}
		r.broker.who = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://broker.invalid","sub":"bob"}`)) + ".x"
		if _, err := r.await(r.begin("one", "")); !errors.Is(err, refresh.ErrAnotherPerson) || !strings.Contains(err.Error(), "login one --confirm") {
			t.Errorf("%v", err)
		}
		if rec := r.record("one"); rec.Version != 1 || rec.Candidate == nil || r.storedLogins() > 0 {
			t.Errorf("version %d, candidate %v", rec.Version, rec.Candidate)
		}
		_ = gen.end()
	})
}
