package schwab_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// A login and its seven days in simulated time: a refresh every 25 minutes,
// the refresh token stays, and its end is seen for what it is.
func TestSevenDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := brokersim.New(brokersim.Config{Dialect: brokersim.Schwab})
		defer sim.Close()
		provider := &schwab.Provider{HTTP: oauth.Client{Dial: sim.Dial}}
		main := account(map[string]string{"authorize_url": sim.AuthorizeURL(), "token_url": sim.TokenURL()})
		main.ClientID, main.ClientSecret = sim.Config().ClientID, sdk.NewSecret(sim.Config().ClientSecret)

		address, err := provider.AuthCodeURL(t.Context(), sdk.AuthRequest{Account: main, State: "S", CodeVerifier: "not used"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := provider.Exchange(t.Context(), sdk.ExchangeRequest{Account: main, Code: logIn(t, sim, address)})
		if err != nil {
			t.Fatal(err)
		}
		login, first, refreshes := time.Now(), token.RefreshToken, 0
		for {
			if !sim.AccessValid(token.AccessToken.Reveal()) || token.Lifetime != 30*time.Minute || token.IDToken.IsZero() {
				t.Fatalf("after %d refreshes the token does not work, or lacks fields", refreshes)
			}
			time.Sleep(25 * time.Minute)
			next, err := provider.Refresh(t.Context(), sdk.RefreshRequest{Account: main, Token: token})
			if err != nil {
				if sdk.KindOf(err) != sdk.KindInvalidGrant {
					t.Errorf("the end is of the kind %s: %v", sdk.KindOf(err), err)
				}
				break
			}
			if token = next; !token.RefreshToken.Equal(first) {
				t.Fatal("the refresh token changed")
			}
			refreshes++
		}
		if lived := time.Since(login); lived < 7*24*time.Hour || lived > 7*24*time.Hour+25*time.Minute || refreshes != 403 {
			t.Errorf("%d refreshes in %s", refreshes, lived)
		}
		if v := sim.Violations(); len(v) > 0 {
			t.Errorf("the broker complains: %+v", v)
		}
	})
}

// logIn is the person at the browser.
func logIn(t *testing.T, sim *brokersim.Server, address string) sdk.Secret {
	t.Helper()
	browser := http.Transport{DialContext: sim.Dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the login at %s leads nowhere: HTTP %d", address, resp.StatusCode)
	}
	return sdk.NewSecret(back.Query().Get("code"))
}

func TestSettings(t *testing.T) {
	raw, err := schwab.New().AuthCodeURL(t.Context(), sdk.AuthRequest{Account: account(nil), State: "S"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(raw)
	if got := u.Scheme + "://" + u.Host + u.Path; got != "https://api.schwabapi.com/v1/oauth/authorize" {
		t.Errorf("the login is at %s", got)
	}
	if u.Query().Has("code_challenge") {
		t.Error("Schwab has no PKCE")
	}

	noSecret := account(nil)
	noSecret.ClientSecret = sdk.Secret{}
	for name, a := range map[string]sdk.Account{
		"token_url":     account(map[string]string{"token_url": "not a URL"}),
		"client_secret": noSecret,
	} {
		_, err := schwab.New().Refresh(t.Context(), sdk.RefreshRequest{Account: a, Token: sdk.Token{RefreshToken: sdk.NewSecret("R")}})
		if sdk.KindOf(err) != sdk.KindInvalidClient || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: kind %s: %v", name, sdk.KindOf(err), err)
		}
	}
}

// The token is shown to Schwab's API alone; with another token endpoint, to nobody unless
// somebody says to whom.
func TestCheck(t *testing.T) {
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Schwab})
	defer sim.Close()
	provider := &schwab.Provider{HTTP: oauth.Client{Dial: sim.Dial}}
	check := func(access string, settings map[string]string) error {
		return provider.Check(t.Context(), sdk.CheckRequest{Account: account(settings), Token: sdk.Token{AccessToken: sdk.NewSecret(access)}})
	}
	ours := map[string]string{"token_url": sim.TokenURL(), "check_url": sim.ResourceURL()}
	if err := check(sim.Grant("main").AccessToken, ours); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if err := check("another", ours); sdk.KindOf(err) != sdk.KindInvalidGrant {
		t.Errorf("another token: kind %s: %v", sdk.KindOf(err), err)
	}
	if err := check("canary", map[string]string{"token_url": sim.TokenURL()}); sdk.KindOf(err) != sdk.KindInvalidClient || !strings.Contains(err.Error(), "check_url") {
		t.Errorf("without check_url: kind %s: %v", sdk.KindOf(err), err)
	}
	var dialled string
	provider.HTTP.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errors.New("not in a test")
	}
	if err := check("canary", map[string]string{"proxy": "none"}); sdk.KindOf(err) != sdk.KindNotSent || dialled != "api.schwabapi.com:443" {
		t.Errorf("dialled %q: %v", dialled, err)
	}
}
