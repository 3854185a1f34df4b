package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// configure starts anew with that account alone.
func (r *rig) configure(a sdk.Account) {
	r.accounts = []refresh.Account{{Account: a, Timeout: 30 * time.Second, MaxFailures: 5}}
	r.restart()
}

// TestGrantedElsewhere: a refresh token is not sent by another client or to
// another server than it was granted to, which happens when a configuration is
// changed; it goes on when that is changed back, or a person logs in.
func TestGrantedElsewhere(t *testing.T) {
	account := func(client string, settings ...string) sdk.Account {
		a := sdk.Account{Name: "a", ClientID: client, Settings: map[string]string{}}
		for i := 0; i < len(settings); i += 2 {
			a.Settings[settings[i]] = settings[i+1]
		}
		return a
	}
	live := account("key", "environment", "live")
	for name, c := range map[string]struct {
		was, is sdk.Account
		why     string // "": it is sent
	}{
		"nothing changed":                        {live, live, ""},
		"another client":                         {live, account("other", "environment", "live"), "client_id"},
		"another environment":                    {live, account("key", "environment", "sim"), "live, and the configuration names sim"},
		"the usual one left out":                 {account("key", "environment", "sim"), account("key"), ""},
		"the usual one named":                    {account("key"), account("key", "environment", "sim"), ""},
		"another than the usual one":             {account("key"), live, "sim, and the configuration names live"},
		"another server":                         {account("key", "token_url", "https://one.example/t"), account("key", "token_url", "https://two.example/t"), "one.example"},
		"the same server's new path":             {account("key", "token_url", "https://one.example/t"), account("key", "token_url", "https://ONE.example:1/u"), ""},
		"from the provider's own to another":     {account("key"), account("key", "token_url", "https://simulator.example/t"), "by sim.own.example, and the configuration names simulator.example"},
		"from another to the provider's own":     {account("key", "token_url", "https://simulator.example/t"), account("key"), "by simulator.example, and the configuration names sim.own.example"},
		"the provider's own is written out":      {live, account("key", "environment", "live", "token_url", "https://live.own.example/t"), ""},
		"the provider's own is written no more":  {account("key", "environment", "live", "token_url", "https://live.own.example/t"), live, ""},
		"that of another environment is written": {account("key"), account("key", "token_url", "https://live.own.example/t"), "by sim.own.example, and the configuration names live.own.example"},
		"a setting of another name":              {account("key", "region", "eu"), account("key", "region", "us"), "by eu, and the configuration names us"},
		"its default is written":                 {account("key"), account("key", "region", "eu"), ""},
		"its default is written no more":         {account("key", "region", "eu"), account("key"), ""},
		"from its default":                       {account("key"), account("key", "region", "us"), "by eu, and the configuration names us"},
		"to its default":                         {account("key", "region", "us"), account("key"), "by us, and the configuration names eu"},
		"a server that nobody names":             {account("key"), account("key", "gateway", "https://gateway.example"), "by a server of the provider's own, and the configuration names gateway.example"},
		"to one that nobody names":               {account("key", "gateway", "https://gateway.example"), account("key"), "by gateway.example, and the configuration names a server of the provider's own"},
		"another secret and redirect":            {live, sdk.Account{Name: "a", ClientID: "key", ClientSecret: sdk.NewSecret("new"), RedirectURL: "https://new/", Settings: live.Settings}, ""},
		"it was never known":                     {account(""), live, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute)
				r.configure(c.was)
				g := r.start()
				synctest.Wait()
				if _, err := r.keeper.Import(t.Context(), store.Record{Account: "a", Token: r.broker.grant("a")}, false); err != nil {
					t.Fatal(err)
				}
				_ = g.end()
				r.configure(c.is)
				stop := r.watch()
				g = r.start()
				defer func() { _ = g.end() }()
				time.Sleep(time.Hour)
				synctest.Wait()
				if c.why == "" {
					stop()
					rec := r.record("a")
					if rec.Version < 3 {
						t.Errorf("version %d after an hour", rec.Version)
					}
					if says := "&region=" + c.is.Settings["region"] + "&"; !strings.Contains("&"+rec.GrantedTo.Servers+"&", says) {
						t.Errorf("the record says %q, and %q has answered", rec.GrantedTo.Servers, says)
					}
					return
				}
				_, err := r.keeper.Refresh(t.Context(), "a", true)
				if !errors.Is(err, refresh.ErrWithheld) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "tokenkeeper login a") {
					t.Errorf("a person asks for a refresh: %v", err)
				}
				if s := r.status("a"); !strings.Contains(s.Withheld, c.why) || s.GrantedElsewhere != s.Withheld {
					t.Errorf("status: withheld %q", s.Withheld)
				}
				stop()
				if n := r.count(event.RefreshPutOff); n != 1 {
					t.Errorf("told %d times", n)
				}
				if n := r.broker.count(); n != 0 {
					t.Errorf("%d requests", n)
				}

				_ = g.end()
				r.configure(c.was)
				g = r.start()
				synctest.Wait()
				if v := r.record("a").Version; v != 2 {
					t.Errorf("changed back: version %d", v)
				}
				_ = g.end()

				r.configure(c.is)
				g = r.start()
				synctest.Wait()
				if _, err := r.keeper.CompleteLogin(t.Context(), "a", r.beginLogin("a"), "code-a"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if v := r.record("a").Version; v < 5 {
					t.Errorf("version %d, an hour after a login", v)
				}
			})
		})
	}
}

// TestGrantedBeforeServersWereNoted: a record of an earlier version says which host was
// written out, and nothing where none was. What it does not say withholds nothing, because
// the login may have gone on with what is configured by now; the server that answers is
// noted.
func TestGrantedBeforeServersWereNoted(t *testing.T) {
	simulator := map[string]string{"token_url": "https://simulator.example/t", "region": "us"}
	for name, c := range map[string]struct {
		host, why string
		is, then  map[string]string
	}{
		"no host, and none is written":    {"", "by sim.own.example, and the configuration names simulator.example", nil, simulator},
		"no host, and one is written":     {"", "by simulator.example, and the configuration names sim.own.example", simulator, nil},
		"the host that is written":        {"simulator.example", "by simulator.example, and the configuration names sim.own.example", simulator, nil},
		"the host that is the provider's": {"SIM.own.example", "by eu, and the configuration names us", nil, map[string]string{"region": "us"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute)
				configure := func(settings map[string]string) {
					r.configure(sdk.Account{Name: "a", ClientID: "key", Settings: settings})
				}
				configure(c.is)
				_, err := r.keeper.Import(t.Context(), store.Record{Account: "a", Token: r.broker.grant("a")}, false)
				r.must(err)
				rec, err := r.store.Load(t.Context(), "a")
				r.must(err)
				rec.Version++
				rec.GrantedTo.TokenHost, rec.GrantedTo.Servers = c.host, ""
				r.must(r.store.Commit(t.Context(), rec))
				r.restart()
				g := r.start()
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := r.status("a"); s.Withheld != "" || r.broker.count() < 3 {
					t.Errorf("%d requests, withheld %q", r.broker.count(), s.Withheld)
				}
				_ = g.end()

				configure(c.then)
				posts := r.broker.count()
				g = r.start()
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := r.status("a"); !strings.Contains(s.Withheld, c.why) || r.broker.count() != posts {
					t.Errorf("changed: %d requests, withheld %q", r.broker.count()-posts, s.Withheld)
				}
				_ = g.end()
			})
		})
	}
}

// TestGrantedBeforeTheProviderWasMet: a token that was imported before its provider had
// said which of its settings name servers is not sent to another one either.
func TestGrantedBeforeTheProviderWasMet(t *testing.T) {
	for name, c := range map[string]struct {
		was, is map[string]string
		why     string // "": it is sent
	}{
		"nothing changed":           {map[string]string{"region": "us"}, map[string]string{"region": "us"}, ""},
		"a setting of no server":    {map[string]string{"region": "us", "colour": "red"}, map[string]string{"region": "us"}, ""},
		"its default is written":    {nil, map[string]string{"region": "eu"}, ""},
		"its default is no more":    {map[string]string{"region": "eu"}, nil, ""},
		"another":                   {map[string]string{"region": "us"}, map[string]string{"region": "ap"}, "by another region, and the configuration names ap"},
		"from its default":          {nil, map[string]string{"region": "us"}, "by eu, and the configuration names us"},
		"to its default":            {map[string]string{"region": "us"}, nil, "by another region, and the configuration names eu"},
		"a server nobody names":     {nil, map[string]string{"gateway": "https://gateway.example"}, "by a server of the provider's own, and the configuration names gateway.example"},
		"the same server's path":    {map[string]string{"gateway": "https://gateway.example/a"}, map[string]string{"gateway": "https://gateway.example/b"}, ""},
		"another host":              {map[string]string{"gateway": "https://gateway.example"}, map[string]string{"gateway": "https://other.example"}, "by another gateway, and the configuration names other.example"},
		"from the provider's own":   {nil, map[string]string{"token_url": "https://simulator.example/t"}, "by sim.own.example, and the configuration names simulator.example"},
		"the provider's is written": {nil, map[string]string{"token_url": "https://sim.own.example/t"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute)
				configure := func(settings map[string]string) {
					r.configure(sdk.Account{Name: "a", ClientID: "key", Settings: settings})
				}
				configure(c.was)
				_, err := r.keeper.Import(t.Context(), store.Record{Account: "a", Token: r.broker.grant("a")}, false)
				r.must(err)
				configure(c.is)
				for range 2 { // what is withheld stays so
					g := r.start()
					time.Sleep(time.Hour)
					synctest.Wait()
					s, posts := r.status("a"), r.broker.count()
					if sent := posts > 0; sent != (c.why == "") || !strings.Contains(s.Withheld, c.why) || (s.Withheld == "") != sent {
						t.Errorf("%d requests, withheld %q", posts, s.Withheld)
					}
					_ = g.end()
					r.restart()
				}
				rec, err := r.store.Load(t.Context(), "a")
				r.must(err)
				if noted := strings.Contains(rec.GrantedTo.Servers, "%3F"); noted != (c.why != "") {
					t.Errorf("the record says %q", rec.GrantedTo.Servers)
				}
			})
		})
	}
}

// A token that was found under the new client is refused: the one before it was
// granted to the old client, and is not sent by the new one.
func TestNobodyGoesBackToAnotherClientsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.store = store.NewMemory()
		configure := func(client string) {
			r.accounts[0].ClientID = client
			r.restart()
		}
		configure("old")
		granted := r.broker.grant("one")
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: granted}, false); err != nil {
			t.Fatal(err)
		}
		configure("new")
		g := r.start()
		time.Sleep(time.Minute)
		r.botWrites(sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("x"), IssuedAt: r.wall(), Lifetime: 20 * time.Minute}, true)
		r.keeper.Touch("one")
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := r.broker.posts["x"]; n != 1 {
			t.Errorf("the token that was found was sent %d times", n)
		}
		if n := r.broker.posts[granted.RefreshToken.Reveal()]; n != 0 {
			t.Errorf("the old client's token was sent %d times by the new client", n)
		}
		if s := r.status("one"); !strings.Contains(s.Withheld, "client_id") {
			t.Errorf("withheld %q", s.Withheld)
		}
		_ = g.end()
	})
}
