package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

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
					if l.Polled || !isGuided(r, "one") {
						t.Errorf("begun: %+v", l)
					}
					given := "what-the-broker-showed"
					if shape == sdk.LoginPasteAddress {
						if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret("https://127.0.0.1/?code=c&state=forged")); !errors.Is(err, login.ErrNotThis) {
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
					if rec.Version != want || r.storedLogins() > 0 || isGuided(r, "one") || r.count(event.LoginFailed) != int(2-want) {
						t.Errorf("version %d, want %d (%v); %d logins left, told %d times", rec.Version, want, err, r.storedLogins(), r.count(event.LoginFailed))
					}
					for _, a := range g.asks() {
						if a.given != given || a.login.Shape != shape || a.attempt != g.asks()[0].attempt {
							t.Errorf("asked with %+v", a)
						}
					}
					if _, err := r.keeper.HandIn(t.Context(), "one", sdk.NewSecret(given)); !errors.Is(err, login.ErrNotThis) {
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
		if !errors.Is(err, sdk.ErrInvalidGrant) || !strings.Contains(err.Error(), "the login failed, and the account is as it was; begin again with: tokenkeeper login one") {
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

// Which shape is taken, and what is said of one that is not to be had.
func TestShapeOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := guidedRig(t, []string{"one"}, "by_pigeon", sdk.LoginCallback, sdk.LoginVerifier, sdk.LoginDevice)
		begin := func(shape sdk.LoginShape) (login.Begun, error) {
			return r.keeper.BeginLogin(t.Context(), "one", shape, event.Caller{})
		}
		gen := r.start()
		synctest.Wait()
		for shape, says := range map[sdk.LoginShape]string{
			"by_pigeon":         `this Tokenkeeper does not know the shape by_pigeon`,
			sdk.LoginPasteToken: `of the shape "paste_token"; it has: by_pigeon, callback, verifier, device`,
		} {
			if _, err := begin(shape); !errors.Is(err, login.ErrNoShape) || !strings.Contains(err.Error(), says) || r.storedLogins() > 0 {
				t.Errorf("%s: %v", shape, err)
			}
		}
		if l, err := begin(""); err != nil || l.Shape != sdk.LoginVerifier {
			t.Errorf("the usual one: %+v, %v", l, err)
		}
		if _, err := begin(sdk.LoginDevice); !errors.Is(err, login.ErrOpen) || !strings.Contains(err.Error(), "of the shape verifier") {
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
		if _, err := begin(""); !errors.Is(err, login.ErrNoShape) {
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
