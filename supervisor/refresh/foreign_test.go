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
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What a document says of its times is held against what is possible, and what
// it does not say is not made up.
func TestTimesOfADocument(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const m = time.Minute
	tests := []struct {
		name           string
		d              format.Document
		life           time.Duration // of the provider's access tokens
		expiry, issued time.Time     // a zero issued is not looked at
		uncertain      bool
		doubted, zone  bool
	}{
		{name: "nothing", life: 20 * m},
		{name: "an expiry", d: format.Document{Expiry: at(3 * m)}, life: 20 * m, expiry: at(3 * m), issued: at(-17 * m)},
		{name: "an expiry, where nobody knows the provider", d: format.Document{Expiry: at(3 * m), WrittenAt: at(-5 * m)}, expiry: at(3 * m), issued: at(-5 * m)},
		{name: "a lifetime", d: format.Document{Lifetime: 20 * m}, life: 20 * m, expiry: at(20 * m), issued: now, uncertain: true},
		{name: "a lifetime, in a file of before", d: format.Document{Lifetime: 20 * m, WrittenAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), issued: at(-15 * m), uncertain: true},
		{name: "a lifetime, in a file of the future", d: format.Document{Lifetime: 20 * m, WrittenAt: at(time.Hour)}, life: 20 * m, expiry: at(20 * m), uncertain: true},
		{name: "a lifetime from a known moment", d: format.Document{Lifetime: 20 * m, IssuedAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), issued: at(-15 * m)},
		{name: "dead before it came", d: format.Document{Lifetime: -5 * time.Second, WrittenAt: at(-m)}, life: 20 * m, expiry: at(-m), uncertain: true},
		{name: "an expiry of long ago", d: format.Document{Expiry: at(-1000 * time.Hour)}, life: 20 * m, expiry: at(-1000 * time.Hour)},
		{name: "a longer life than known", d: format.Document{Expiry: at(39 * m)}, life: 20 * m, expiry: at(39 * m)},
		{name: "too long a life", d: format.Document{Expiry: at(9 * time.Hour)}, life: 20 * m, expiry: at(20 * m), uncertain: true, doubted: true},
		{name: "too long a life since it was written", d: format.Document{Expiry: at(9 * time.Hour), WrittenAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), uncertain: true, doubted: true},
		{name: "a local time in another zone", d: format.Document{Expiry: at(time.Hour + 20*m), Naive: true}, life: time.Hour, expiry: at(time.Hour), uncertain: true, doubted: true, zone: true},
		{name: "a local time", d: format.Document{Expiry: at(time.Hour), Naive: true}, life: time.Hour, expiry: at(time.Hour), issued: now},
		{name: "a lifetime of a century", d: format.Document{Lifetime: 100 * 365 * 24 * time.Hour}, expiry: at(366 * 24 * time.Hour), uncertain: true, doubted: true},
		{name: "an impossible year", d: format.Document{Expiry: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)}, life: 20 * m},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.d.AccessToken, tt.d.RefreshToken = sdk.NewSecret("a"), sdk.NewSecret("r")
			f := refresh.TokenOf(tt.d, sdk.Policy{AccessLifetime: tt.life}, now)
			if got := f.Token.Expiry(); !got.Equal(tt.expiry) {
				t.Errorf("expiry %v, want %v", got, tt.expiry)
			}
			if !tt.issued.IsZero() && !f.Token.IssuedAt.Equal(tt.issued) {
				t.Errorf("issued at %v, want %v", f.Token.IssuedAt, tt.issued)
			}
			if f.Token.Uncertain != tt.uncertain || len(f.Doubts) > 0 != tt.doubted || f.Zone != tt.zone {
				t.Errorf("uncertain %t, doubts %q, zone %t", f.Token.Uncertain, f.Doubts, f.Zone)
			}
		})
	}
}

// FuzzDocuments: whatever a file of any format says of its times, what comes of
// it is sane or not known, and its life is one that a token can have.
func FuzzDocuments(f *testing.F) {
	for _, name := range format.ReadNames() {
		f.Add(name, []byte(`{"access_token":"a","refresh_token":"r","expires_in":-9e15,"expires_at":253402300799,"token":{"access_token":"a","expires_in":1e9,"expires_at":1}}`), int64(1), int64(0))
		f.Add(name, []byte(`{"refresh_token":"r","expiry":"0001-01-01T00:00:00Z","token_expiry":"2199-12-31T23:59:59","access_token_issued":"1970-01-01T00:00:01"}`), int64(-1), int64(1<<62))
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, name string, b []byte, written, life int64) {
		d, err := format.Decode(name, b, format.Options{Location: time.UTC})
		if err != nil {
			return
		}
		d.WrittenAt = time.Unix(written, 0)
		got := refresh.TokenOf(d, sdk.Policy{AccessLifetime: time.Duration(life)}, now)
		for what, at := range map[string]time.Time{"issued": got.Token.IssuedAt, "expiry": got.Token.Expiry(), "login": got.LoginAt} {
			if !at.IsZero() && !moment.Sane(at) {
				t.Errorf("%s: %s %v out of %q", name, what, at, b)
			}
		}
		if life := got.Token.Lifetime; life < 0 || life > 367*24*time.Hour || got.Token.IssuedAt.After(now) {
			t.Errorf("%s: a life of %v from %v out of %q", name, life, got.Token.IssuedAt, b)
		}
		if got.Token.Expiry().After(now.Add(367 * 24 * time.Hour)) {
			t.Errorf("%s: it lives until %v, by %q", name, got.Token.Expiry(), b)
		}
	})
}

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

// A token endpoint's answer may say when its refresh token dies.
func TestRefreshLifetimeOfAnAnswer(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	policy := sdk.Policy{AccessLifetime: 20 * time.Minute, RefreshLifetime: 40 * time.Minute, Sliding: true}
	for _, tt := range []struct {
		life    time.Duration
		written time.Time
		want    time.Time // the end
	}{
		{30 * time.Second, time.Time{}, now.Add(30 * time.Second)},
		{30 * time.Minute, now.Add(-10 * time.Minute), now.Add(20 * time.Minute)},
		{100 * 24 * time.Hour, time.Time{}, now.Add(40 * time.Minute)},
	} {
		d := format.Document{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), Lifetime: 20 * time.Second, RefreshLifetime: tt.life, WrittenAt: tt.written}
		tok := refresh.TokenOf(d, policy, now).Token
		if end := tok.IssuedAt.Add(tok.RefreshLifetime); !end.Equal(tt.want) {
			t.Errorf("%s, written %s: it dies %s, want %s", tt.life, tt.written, end, tt.want)
		}
	}
}
