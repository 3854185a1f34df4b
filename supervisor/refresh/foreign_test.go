package refresh_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A token whose times can't be used is refreshed at once, and stops nobody
// else's refreshing.
func TestATokenWithoutTimesStopsNobody(t *testing.T) {
	for _, file := range []string{
		`{"access_token":"a","refresh_token":%q,"token_type":"Bearer","expires_in":1200}`,
		`{"access_token":"a","refresh_token":%q,"expires_in":-1200}`,
		`{"access_token":"a","refresh_token":%q,"expires_at":"soon"}`,
		`{"access_token":"a","refresh_token":%q,"expiry":"0001-01-01T00:00:00Z"}`,
		`{"access_token":"a","refresh_token":%q,"expires_at":253402300799999}`,
		`{"token":{"access_token":"a","refresh_token":%q}}`,
		`{"creation_timestamp":1e99,"token":{"access_token":"a","refresh_token":%q,"expires_in":"never"}}`,
		`{"access_token":"a","refresh_token":%q,"app_key":"k"}`,
		`{"access_token":"a","refresh_token":%q,"token_expiry":"0000-00-00T00:00:00"}`,
		`{"access_token_issued":"0001-01-01T00:00:00","token_dictionary":{"access_token":"a","refresh_token":%q,"expires_in":1800}}`,
		`{"token_dictionary":{"access_token":"a","refresh_token":%q}}`,
	} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one", "two")
				body := fmt.Appendf(nil, file, r.broker.grant("one").RefreshToken.Reveal())
				name, err := format.Detect(body)
				if err != nil {
					t.Fatal(err)
				}
				d, err := format.Decode(name, body, format.Options{})
				if err != nil {
					t.Fatal(err)
				}
				g := r.start()
				synctest.Wait()
				if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.keeper.Foreign(d).Token}, true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(41 * time.Minute)
				synctest.Wait()
				for _, account := range []string{"one", "two"} {
					rec := r.record(account)
					if left := rec.Token.Expiry().Sub(r.wall()); left <= 0 || left > 20*time.Minute || rec.Origin != store.OriginRefresh {
						t.Errorf("%s has a token from %s that lives for %s", account, rec.Origin, left)
					}
				}
				_ = g.end()
			})
		})
	}
}

// An unknown token in the file that is neither known nor younger is not tried
// in place of ours, nor ours in place of it, before a person has decided.
func TestAnUnknownTokenInTheFileIsAskedAbout(t *testing.T) {
	for name, decide := range map[string]func(r *sharedRig){
		"for ours": func(r *sharedRig) {
			if _, err := r.keeper.Refresh(r.t.Context(), "one", true); err != nil {
				r.t.Error(err)
			}
		},
		"for the file": func(r *sharedRig) {
			d := r.inFile()
			if _, err := r.keeper.Import(r.t.Context(), store.Record{Account: "one", Token: r.keeper.Foreign(d).Token}, true); err != nil {
				r.t.Error(err)
			}
		},
		"by putting ours back": func(r *sharedRig) { r.botWrites(r.record("one").Token, true); r.keeper.Touch("one") },
		"by removing the file": func(r *sharedRig) { _ = os.Remove(r.path); r.keeper.Touch("one") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				defer r.watch()()
				r.botWrites(r.record("one").Token, true)
				g := r.start()
				time.Sleep(5 * time.Minute)
				stranger := r.record("one").Token
				if name == "for the file" {
					stranger = r.broker.grant("one") // by a program whose clock is behind
				} else {
					stranger.RefreshToken = sdk.NewSecret("of another login")
				}
				stranger.AccessToken, stranger.IssuedAt = sdk.NewSecret("stranger"), stranger.IssuedAt.Add(-9*time.Hour)
				r.botWrites(stranger, true)
				r.keeper.Look()
				time.Sleep(time.Second)
				synctest.Wait()
				if s := r.status("one"); s.Waiting != promise.Asked || s.Asked == "" || !strings.Contains(s.WaitingText, s.Ways) {
					t.Errorf("long before it is due it waits for %q: %q", s.Waiting, s.WaitingText)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if n := r.broker.count(); n != 0 {
					t.Fatalf("%d requests before anybody decided", n)
				}
				asked := r.status("one").Asked
				if !strings.Contains(asked, "none of this login's") || !strings.Contains(asked, "0s before ours") {
					t.Errorf("asked: %q", asked)
				}
				if n := r.count(event.UnknownToken); n != 1 {
					t.Errorf("told %d times, want once", n)
				}
				decide(r)
				time.Sleep(time.Minute)
				synctest.Wait()
				if rec := r.record("one"); !r.broker.holds("one", rec.Token.RefreshToken) || !rec.Token.Valid(r.wall()) || !r.broker.holds("one", r.inFile().RefreshToken) {
					t.Errorf("after the decision: version %d from %s", rec.Version, rec.Origin)
				}
				if asked := r.status("one").Asked; asked != "" {
					t.Errorf("still asked: %s", asked)
				}
				_ = g.end()
			})
		})
	}
}

// Once ours is spent, an unknown token is tried if its file was written later,
// whatever times it claims; a file from before tells nothing.
func TestAnUnknownTokenIsTriedWhenOursIsSpent(t *testing.T) {
	for _, later := range []bool{true, false} {
		t.Run(fmt.Sprint(later), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				r.botWrites(r.record("one").Token, true)
				r.broker.next("one", fault{loseAnswer: true})
				g := r.start()
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				before := r.broker.count()
				t9 := r.broker.grant("one")
				t9.IssuedAt = t9.IssuedAt.Add(-9 * time.Hour)
				r.botWrites(t9, true)
				written := r.wall()
				if !later {
					written = r.record("one").StoredAt.Add(-time.Hour)
				}
				if err := os.Chtimes(r.path, written, written); err != nil {
					t.Fatal(err)
				}
				r.keeper.Touch("one")
				time.Sleep(20 * time.Second)
				synctest.Wait()
				rec := r.record("one")
				switch holds := r.broker.holds("one", rec.Token.RefreshToken); {
				case later && !holds:
					t.Errorf("version %d from %s: the token in the file was not tried", rec.Version, rec.Origin)
				case !later && r.status("one").Asked == "":
					t.Error("nobody was asked")
				case !later && r.broker.count() != before:
					t.Error("a token was spent before anybody decided")
				}
				_ = g.end()
			})
		})
	}
}

// A file that carries another app's key holds no token of ours.
func TestATokenOfAnotherAppIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.accounts[0].ClientID = "our-key"
		r.restart()
		g := r.start()
		time.Sleep(5 * time.Minute)
		stranger := r.broker.grant("two")
		if err := r.bot.Write(format.Document{
			AccessToken: stranger.AccessToken, RefreshToken: stranger.RefreshToken, Expiry: stranger.Expiry(), ClientID: "their-key",
		}); err != nil {
			t.Fatal(err)
		}
		r.keeper.Touch("one")
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if rec := r.record("one"); rec.Version != 1 {
			t.Errorf("version %d from %s", rec.Version, rec.Origin)
		}
		if asked := r.status("one").Asked; !strings.Contains(asked, "another app") {
			t.Errorf("asked: %q", asked)
		}
		_ = g.end()
	})
}

// A bot in another zone writes local times that are hours ahead: its token is
// taken, and not believed to live for hours.
func TestALocalTimeOfAnotherZoneIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(10 * time.Minute)
		ahead := r.broker.grant("one")
		ahead.IssuedAt = ahead.IssuedAt.Add(9 * time.Hour)
		r.botWrites(ahead, true)
		r.keeper.Touch("one")
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		rec := r.record("one")
		if left := rec.Token.Expiry().Sub(r.wall()); left > 20*time.Minute || !rec.Token.Uncertain {
			t.Errorf("it is believed to live for %s, uncertain %t", left, rec.Token.Uncertain)
		}
		if zone := r.status("one").Zone; !strings.Contains(zone, "9h0m0s ahead of the time zone") {
			t.Errorf("the zone: %q", zone)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		r.wants(3, store.OriginRefresh)
		if zone := r.status("one").Zone; zone != "" {
			t.Errorf("after our own refresh: %q", zone)
		}
		_ = g.end()
	})
}
