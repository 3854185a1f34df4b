package refresh_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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

// guide is a provider that guides logins in any shape, and is no Authorizer.
type guide struct {
	*guidedBroker
	shapes []sdk.LoginShape
	every  time.Duration
	lasts  time.Duration // 0: it does not say

	mu    sync.Mutex
	begun int
	says  []error // of the next EndLogins; nil, and after the last: the token
	asked []asked
}

// guidedBroker hides that the broker is an Authorizer.
type guidedBroker struct{ b *broker }

func (g *guidedBroker) Describe(ctx context.Context) (sdk.Description, error) {
	return g.b.Describe(ctx)
}
func (g *guidedBroker) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return g.b.Refresh(ctx, req)
}

// authorizingGuide is both.
type authorizingGuide struct {
	*guide
	sdk.Authorizer
}

type asked struct {
	at      time.Time
	attempt string
	login   sdk.Login
	given   string
}

func (g *guide) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := g.guidedBroker.Describe(ctx)
	d.Logins = g.shapes
	return d, err
}

func (g *guide) BeginLogin(_ context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun++
	l := sdk.Login{
		Shape: req.Shape, Address: "https://broker.invalid/" + string(req.Shape), Instructions: "Do as it says.", PollEvery: g.every,
		Private: map[string]sdk.Secret{"device_code": sdk.NewSecret(fmt.Sprintf("device-%d", g.begun))},
	}
	switch req.Shape {
	case sdk.LoginDevice:
		l.UserCode = "WDJB-MJHT"
	case sdk.LoginPasteAddress:
		l.Address += "?state=" + req.State
	}
	if g.lasts > 0 {
		l.Expires = time.Now().Add(g.lasts)
	}
	return l, nil
}

func (g *guide) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	g.mu.Lock()
	g.asked = append(g.asked, asked{time.Now(), req.Attempt.ID, req.Login, req.Given.Reveal()})
	g.mu.Unlock()
	return g.b.answer(ctx, req.Account.Name, func(f fault, die func(window) bool) ([]byte, error) {
		g.mu.Lock()
		var says error
		if len(g.says) > 0 {
			says, g.says = g.says[0], g.says[1:]
		}
		g.mu.Unlock()
		if says != nil {
			if die(sent) {
				return nil, errKilled
			}
			return nil, says
		}
		g.b.mu.Lock()
		t := g.b.rotate(req.Account.Name)
		t.IDToken = sdk.NewSecret(g.b.who)
		g.b.mu.Unlock()
		if die(sent) {
			return nil, errKilled
		}
		return encodeAnswer(t), nil
	})
}

// asks are the EndLogins so far.
func (g *guide) asks() []asked {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]asked(nil), g.asked...)
}

func (g *guide) say(errs ...error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.says = append(g.says, errs...)
}

var (
	pending  = &sdk.Error{Kind: sdk.KindPending, Message: "not yet", OAuthError: "authorization_pending", HTTPStatus: 400}
	slowDown = &sdk.Error{Kind: sdk.KindPending, Message: "slower", OAuthError: "slow_down", HTTPStatus: 400}
	declined = &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "access_denied", OAuthError: "access_denied", HTTPStatus: 400}
)

// guidedRig is a rig whose provider guides logins of these shapes.
func guidedRig(t *testing.T, names []string, shapes ...sdk.LoginShape) (*rig, *guide) {
	r := newRig(t, time.Hour, names...)
	g := &guide{guidedBroker: &guidedBroker{r.broker}, shapes: shapes, every: 5 * time.Second}
	r.provider = g
	return r, g
}

func (r *rig) begin(account string, shape sdk.LoginShape) refresh.OpenLogin {
	r.t.Helper()
	l, err := r.keeper.BeginLogin(r.t.Context(), account, shape, event.Caller{UID: 7})
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) await(l refresh.OpenLogin) (store.Record, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Hour)
	defer cancel()
	return r.keeper.AwaitLogin(ctx, "one", l.ID)
}

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
			if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("x")); !errors.Is(err, refresh.ErrNothingToHandIn) {
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
			if _, err := r.keeper.AwaitLogin(t.Context(), "one", "another"); !errors.Is(err, refresh.ErrNoOpenLogin) {
				t.Errorf("of another: %v", err)
			}
			_ = gen.end()
		})
	}
}

// How a polled login ends without a token, and what is said of it.
func TestPolledLoginEndsWithoutAToken(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*rig, *guide, refresh.OpenLogin)
		says string
		told int
	}{
		"declined": {func(r *rig, g *guide, _ refresh.OpenLogin) { g.say(pending, declined) }, "the login was declined at the broker; begin again with: tokenkeeper login one", 1},
		"expired at the broker": {func(_ *rig, g *guide, _ refresh.OpenLogin) {
			g.say(&sdk.Error{Kind: sdk.KindInvalidGrant, Message: "expired_token", OAuthError: "expired_token", HTTPStatus: 400})
		}, "the login was not approved in time; begin again with: tokenkeeper login one", 1},
		"an answer was lost": {func(_ *rig, g *guide, _ refresh.OpenLogin) {
			g.say(&sdk.Error{Kind: sdk.KindAmbiguous, Message: "cut"}, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "invalid_grant", HTTPStatus: 400})
		}, "most likely because an earlier answer to it was lost", 1},
		"over by itself": {func(r *rig, g *guide, _ refresh.OpenLogin) {
			for range 40 {
				g.say(pending)
			}
			go func() { time.Sleep(181 * time.Second); r.keeper.Look() }()
		}, "the login was not completed in time, and is over; begin again with: tokenkeeper login one", 0},
		"cancelled": {func(r *rig, g *guide, _ refresh.OpenLogin) {
			g.say(pending, pending)
			go func() {
				time.Sleep(7 * time.Second)
				if _, err := r.keeper.CancelLogin(r.t.Context(), "one"); err != nil {
					r.t.Error(err)
				}
			}()
		}, "the login was cancelled; begin again with: tokenkeeper login one", 0},
		"cancelled while it is polled": {func(r *rig, g *guide, _ refresh.OpenLogin) {
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

// What a person hands in is spent once. A death in the middle takes what was answered,
// by the same call with the same text.
func TestHandIn(t *testing.T) {
	for _, shape := range []sdk.LoginShape{sdk.LoginPasteToken, sdk.LoginVerifier, sdk.LoginPasteAddress, sdk.LoginCallback} {
		for _, die := range []window{nowhere, sent, spooled} {
			if shape == sdk.LoginCallback && die == sent { // which ends no login: see below
				continue
			}
			t.Run(fmt.Sprintf("%s, window %d", shape, die), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, g := guidedRig(t, []string{"one"}, shape)
					defer r.watch()()
					gen := r.start()
					synctest.Wait()
					l := r.begin("one", shape)
					if l.Polled || !r.keeper.IsGuided("one") {
						t.Errorf("begun: %+v", l)
					}
					given := "what-the-broker-showed"
					if shape == sdk.LoginPasteAddress {
						if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("https://127.0.0.1/?code=c&state=forged")); !errors.Is(err, refresh.ErrNoLogin) {
							t.Errorf("another login's: %v", err)
						}
						given = "https://127.0.0.1/?code=c&" + l.URL[strings.Index(l.URL, "state="):]
					}
					r.broker.next("one", fault{die: die, kill: func() { gen.kill() }})
					rec, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret(given))
					if die != nowhere {
						if !errors.Is(err, sdk.ErrConnection) {
							t.Fatal(err)
						}
						gen.stop()
						<-gen.done
						r.restart()
						gen = r.start()
						synctest.Wait()
						rec = r.record("one")
					}
					want := uint64(2)
					if die == sent {
						want = 1
					}
					if rec.Version != want || r.storedLogins() > 0 || r.keeper.IsGuided("one") || r.count(event.LoginFailed) != int(2-want) {
						t.Errorf("version %d, want %d (%v); %d logins left, told %d times", rec.Version, want, err, r.storedLogins(), r.count(event.LoginFailed))
					}
					for _, a := range g.asks() {
						if a.given != given || a.login.Shape != shape || a.attempt != g.asks()[0].attempt {
							t.Errorf("asked with %+v", a)
						}
					}
					if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret(given)); !errors.Is(err, refresh.ErrNoLogin) {
						t.Errorf("once more: %v", err)
					}
					_ = gen.end()
				})
			})
		}
	}
}

// What is refused ends the login; what was not sent leaves it open.
func TestHandInThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := guidedRig(t, []string{"one"}, sdk.LoginPasteToken)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		l := r.begin("one", "")
		r.broker.setDown(true)
		if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("given")); err == nil || !strings.Contains(err.Error(), "the login stays open: go on with: tokenkeeper login one") {
			t.Errorf("not sent: %v", err)
		}
		r.broker.setDown(false)
		g.say(&sdk.Error{Kind: sdk.KindInvalidGrant, Message: "invalid_grant", HTTPStatus: 400})
		_, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("given-again"))
		if !errors.Is(err, sdk.ErrInvalidGrant) || !strings.Contains(err.Error(), "the login failed; begin again with: tokenkeeper login one") {
			t.Errorf("refused: %v", err)
		}
		if _, awaited := r.await(l); awaited == nil || awaited.Error() != err.Error() {
			t.Errorf("who waits is told %v", awaited)
		}
		if r.storedLogins() > 0 || r.count(event.LoginFailed) != 1 || r.status("one").State != refresh.Valid {
			t.Errorf("%d logins left, told %d times", r.storedLogins(), r.count(event.LoginFailed))
		}
		_ = gen.end()
	})
}

// A post may be anybody's: one that is no good, or of which nobody knows, ends no
// login, and the true one is taken after it.
func TestAPostThatIsNoGoodEndsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := guidedRig(t, []string{"one"}, sdk.LoginCallback)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		if l := r.begin("one", ""); l.Shape != sdk.LoginCallback || l.Polled {
			t.Errorf("begun: %+v", l)
		}
		for kind, says := range map[sdk.Kind]string{
			sdk.KindNotSent: "was not sent (", sdk.KindInvalidGrant: "was not taken (", sdk.KindTransient: "was not taken (", sdk.KindAmbiguous: "was not taken (",
		} {
			g.say(&sdk.Error{Kind: kind, Message: "no"})
			_, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("forged"))
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "the login stays open: go on with: tokenkeeper login one") || r.storedLogins() != 1 {
				t.Errorf("%s: %v; %d logins", kind, err, r.storedLogins())
			}
		}
		if n := r.count(event.LoginFailed); n > 0 || r.record("one").Version != 1 {
			t.Errorf("told %d times, version %d", n, r.record("one").Version)
		}
		if rec, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("true")); err != nil || rec.Version != 2 || r.storedLogins() > 0 {
			t.Errorf("the true one: version %d, %v; %d logins", rec.Version, err, r.storedLogins())
		}
		r.begin("one", "")
		g.say(&sdk.Error{Kind: sdk.KindInvalidClient, Message: "our configuration"})
		if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("true")); !errors.Is(err, sdk.ErrInvalidClient) || r.storedLogins() > 0 {
			t.Errorf("a wrong client: %v; %d logins", err, r.storedLogins())
		}
		_ = gen.end()
	})
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

// Which shape is taken, and what is said of one that is not to be had.
func TestShapeOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := guidedRig(t, []string{"one"}, "by_pigeon", sdk.LoginCallback, sdk.LoginVerifier, sdk.LoginDevice)
		begin := func(shape sdk.LoginShape) (refresh.OpenLogin, error) {
			return r.keeper.BeginLogin(t.Context(), "one", shape, event.Caller{})
		}
		gen := r.start()
		synctest.Wait()
		for shape, says := range map[sdk.LoginShape]string{
			"by_pigeon":         `this Tokenkeeper does not know the shape by_pigeon`,
			sdk.LoginPasteToken: `of the shape "paste_token"; it has: by_pigeon, callback, verifier, device`,
		} {
			if _, err := begin(shape); !errors.Is(err, refresh.ErrNoShape) || !strings.Contains(err.Error(), says) || r.storedLogins() > 0 {
				t.Errorf("%s: %v", shape, err)
			}
		}
		if l, err := begin(""); err != nil || l.Shape != sdk.LoginVerifier {
			t.Errorf("the usual one: %+v, %v", l, err)
		}
		if _, err := begin(sdk.LoginDevice); !errors.Is(err, refresh.ErrLoginOpen) || !strings.Contains(err.Error(), "of the shape verifier") {
			t.Errorf("beside another: %v", err)
		}
		if l, err := begin(sdk.LoginVerifier); err != nil || !l.Earlier {
			t.Errorf("again: %+v, %v", l, err)
		}
		_ = gen.end()

		g.shapes = []sdk.LoginShape{"by_pigeon"}
		r.restart()
		gen = r.start()
		synctest.Wait()
		if _, err := r.keeper.CancelLogin(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := begin(""); !errors.Is(err, refresh.ErrNoShape) {
			t.Errorf("none that works: %v", err)
		}
		_ = gen.end()

		g.shapes = []sdk.LoginShape{sdk.LoginDevice}
		r.provider = authorizingGuide{g, r.broker}
		gen = r.start()
		synctest.Wait()
		if l, err := begin(""); err != nil || l.Shape != sdk.LoginRedirect || !strings.Contains(l.URL, "/authorize?") {
			t.Errorf("of an Authorizer: %+v, %v", l, err)
		}
		_ = gen.end()
	})
}
