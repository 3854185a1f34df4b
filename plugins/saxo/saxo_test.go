package saxo_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/saxo"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// world is the provider and a strict Saxo in memory, in simulated time.
type world struct {
	t        *testing.T
	sim      *brokersim.Server
	provider *saxo.Provider
	account  sdk.Account
}

func newWorld(t *testing.T, cfg brokersim.Config) *world {
	cfg.Dialect = brokersim.Saxo
	sim := brokersim.New(cfg)
	t.Cleanup(sim.Close)
	return &world{
		t: t, sim: sim,
		provider: &saxo.Provider{HTTP: oauth.Client{Dial: sim.Dial}},
		account: sdk.Account{
			Name: "main", ClientID: sim.Config().ClientID, ClientSecret: sdk.NewSecret(sim.Config().ClientSecret),
			RedirectURL: sim.Config().RedirectURL,
			Settings:    map[string]string{"authorize_url": sim.AuthorizeURL(), "token_url": sim.TokenURL()},
		},
	}
}

// code logs a person in at the address that the provider builds.
func (w *world) code() sdk.Secret {
	w.t.Helper()
	address, err := w.provider.AuthCodeURL(w.t.Context(), sdk.AuthRequest{Account: w.account, State: "S", CodeVerifier: verifier})
	if err != nil {
		w.t.Fatal(err)
	}
	browser := http.Transport{DialContext: w.sim.Dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := browser.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != "S" {
		w.t.Fatalf("the login at %s leads to %v (%v)", address, back, err)
	}
	return sdk.NewSecret(back.Query().Get("code"))
}

func (w *world) exchange(ctx context.Context, code sdk.Secret) sdk.Token {
	w.t.Helper()
	token, err := w.provider.Exchange(ctx, sdk.ExchangeRequest{Account: w.account, Code: code, CodeVerifier: sdk.NewSecret(verifier)})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) refresh(t sdk.Token) (sdk.Token, error) {
	return w.provider.Refresh(w.t.Context(), sdk.RefreshRequest{Account: w.account, Token: t})
}

// A login and two days of refreshing, weekend or not, with a secret and with
// PKCE.
// What the description says of token_url is where tokens are refreshed.
func TestTokenURLIsDescribed(t *testing.T) {
	p := saxo.New()
	d, err := p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := slices.IndexFunc(d.Settings, func(s sdk.Setting) bool { return s.Name == "token_url" && s.Server })
	for _, environment := range []string{"", "sim", "live"} {
		a := sdk.Account{Settings: map[string]string{"environment": environment}}
		if said := d.Settings[n].DefaultFor(a.Settings, d.Settings); said != p.TokenURL(a) {
			t.Errorf("environment %q: %s, and %s is described", environment, p.TokenURL(a), said)
		}
	}
}

func TestLoginAndRefreshing(t *testing.T) {
	for name, pkce := range map[string]bool{"secret": false, "pkce": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, brokersim.Config{PKCE: pkce})
				token := w.exchange(t.Context(), w.code())
				if pkce != (token.Private["code_verifier"].Reveal() == verifier) {
					t.Error("the code verifier is kept if, and only if, refreshes need it")
				}
				for range 150 {
					if !w.sim.AccessValid(token.AccessToken.Reveal()) || !token.Valid(time.Now()) {
						t.Fatal("the access token does not work")
					}
					if token.Extra["base_uri"] == "" || token.Lifetime != 20*time.Minute || token.RefreshLifetime != 40*time.Minute {
						t.Fatalf("base_uri %q, lifetimes %s, %s", token.Extra["base_uri"], token.Lifetime, token.RefreshLifetime)
					}
					time.Sleep(time.Until(token.Expiry()) - 5*time.Minute)
					old := token.RefreshToken
					var err error
					if token, err = w.refresh(token); err != nil {
						t.Fatal(err)
					}
					if token.RefreshToken.IsZero() || token.RefreshToken.Equal(old) {
						t.Fatal("no new refresh token")
					}
				}
				if v := w.sim.Violations(); len(v) > 0 {
					t.Errorf("the broker complains: %+v", v)
				}
				if r := w.sim.Reused(); len(r) > 0 {
					t.Errorf("refresh tokens were sent twice: %+v", r)
				}
			})
		})
	}
}

// A code that was exchanged late gives a token that is dead already: it is due
// at once, and its refresh token works.
func TestLateExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, brokersim.Config{})
		code := w.code()
		time.Sleep(25 * time.Minute)
		token := w.exchange(t.Context(), code)
		if token.Lifetime >= 0 || token.Valid(time.Now()) {
			t.Errorf("lifetime %s of a token that is dead", token.Lifetime)
		}
		if _, err := w.refresh(token); err != nil {
			t.Error(err)
		}
	})
}

func TestOddAnswers(t *testing.T) {
	for _, fault := range append(brokersim.OddLifetimes(), brokersim.WithoutField("refresh_token_expires_in"), brokersim.WithoutField("base_uri")) {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, brokersim.Config{})
				w.account.Settings["environment"] = "live"
				token := w.exchange(t.Context(), w.code())
				w.sim.Inject(fault)
				token, err := w.refresh(token)
				if err != nil {
					t.Fatal(err)
				}
				if token.Lifetime == 0 || token.RefreshLifetime <= 0 {
					t.Errorf("lifetimes %s, %s", token.Lifetime, token.RefreshLifetime)
				}
				if _, err := w.refresh(token); err != nil {
					t.Errorf("the refresh after it: %v", err)
				}
			})
		})
	}
}

func TestDeadRefreshToken(t *testing.T) {
	for _, status := range []int{400, 401} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, brokersim.Config{DeadGrantStatus: status})
			token := w.exchange(t.Context(), w.code())
			time.Sleep(token.RefreshLifetime + time.Second)
			if _, err := w.refresh(token); sdk.KindOf(err) != sdk.KindInvalidGrant {
				t.Errorf("kind %s: %v", sdk.KindOf(err), err)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	login := func(a sdk.Account) (string, error) {
		return saxo.New().AuthCodeURL(t.Context(), sdk.AuthRequest{Account: a, State: "S", CodeVerifier: verifier})
	}
	account := func(settings map[string]string) sdk.Account {
		return sdk.Account{Name: "main", ClientID: "app", ClientSecret: sdk.NewSecret("s"), RedirectURL: "http://localhost/", Settings: settings}
	}
	for environment, host := range map[string]string{"": "sim.logonvalidation.net", "sim": "sim.logonvalidation.net", "live": "live.logonvalidation.net"} {
		raw, err := login(account(map[string]string{"environment": environment}))
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := url.Parse(raw); u.Scheme != "https" || u.Host != host || u.Path != "/authorize" {
			t.Errorf("environment %q: %s", environment, raw)
		}
	}

	public := account(nil)
	public.ClientSecret, public.RedirectURL = sdk.Secret{}, ""
	noVerifier := public
	noVerifier.RedirectURL = "http://localhost/"
	tests := map[string]struct {
		account sdk.Account
		kind    sdk.Kind
		names   string
	}{
		"environment":      {account(map[string]string{"environment": "prod"}), sdk.KindInvalidClient, "environment"},
		"token_url":        {account(map[string]string{"token_url": "http://saxo.example/"}), sdk.KindInvalidClient, "token_url"},
		"no redirect_url":  {public, sdk.KindInvalidClient, "redirect_url"},
		"no code verifier": {noVerifier, sdk.KindNotSent, "code verifier"},
	}
	for name, tt := range tests {
		_, err := saxo.New().Refresh(t.Context(), sdk.RefreshRequest{Account: tt.account, Token: sdk.Token{RefreshToken: sdk.NewSecret("R")}})
		if sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.names) || !strings.Contains(err.Error(), "main") {
			t.Errorf("%s: kind %s: %v", name, sdk.KindOf(err), err)
		}
	}
}

// The token is shown to the API of its environment alone; with another token endpoint, to
// nobody unless somebody says to whom.
func TestCheck(t *testing.T) {
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo})
	defer sim.Close()
	provider := &saxo.Provider{HTTP: oauth.Client{Dial: sim.Dial}}
	check := func(access string, settings map[string]string) error {
		return provider.Check(t.Context(), sdk.CheckRequest{
			Account: sdk.Account{Name: "main", Settings: settings}, Token: sdk.Token{AccessToken: sdk.NewSecret(access)},
		})
	}
	ours := map[string]string{"token_url": sim.TokenURL(), "check_url": sim.ResourceURL()}
	if err := check(sim.Grant("main").AccessToken, ours); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if err := check("another", ours); sdk.KindOf(err) != sdk.KindInvalidGrant {
		t.Errorf("another token: kind %s: %v", sdk.KindOf(err), err)
	}
	for name, settings := range map[string]map[string]string{
		"check_url": {"token_url": sim.TokenURL()}, "environment": {"environment": "production"},
	} {
		if err := check("canary", settings); sdk.KindOf(err) != sdk.KindInvalidClient || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: kind %s: %v", name, sdk.KindOf(err), err)
		}
	}
	var dialled string
	provider.HTTP.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errors.New("not in a test")
	}
	if err := check("canary", map[string]string{"proxy": "none"}); sdk.KindOf(err) != sdk.KindNotSent || dialled != "gateway.saxobank.com:443" {
		t.Errorf("dialled %q: %v", dialled, err)
	}
}
