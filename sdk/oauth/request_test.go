package oauth

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// breakDirectory makes creating files in dir fail, for root too.
func breakDirectory(t *testing.T, dir string) {
	t.Helper()
	if err := os.Rename(dir, filepath.Join(t.TempDir(), "gone")); err != nil {
		t.Error(err)
	}
}

func TestRequests(t *testing.T) {
	exchange := func(e Endpoint, a sdk.Account) error {
		_, err := (&Client{}).Exchange(t.Context(), e, sdk.ExchangeRequest{
			Account: a, Code: sdk.NewSecret("code"), CodeVerifier: sdk.NewSecret("verifier"),
		})
		return err
	}
	refresh := func(e Endpoint, a sdk.Account) error {
		req := refreshRequest()
		req.Account = a
		_, err := (&Client{}).Refresh(t.Context(), e, req)
		return err
	}
	public := account()
	public.ClientSecret = sdk.Secret{}
	tests := map[string]struct {
		call    func(Endpoint, sdk.Account) error
		account sdk.Account
		change  func(*Endpoint)
		form    url.Values
		basic   bool
	}{
		"refresh, secret in the header": {
			call: refresh, account: account(), basic: true,
			form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {canaryRefresh}},
		},
		"refresh, secret in the form": {
			call: refresh, account: account(), change: func(e *Endpoint) { e.AuthStyle = oauth2.AuthStyleInParams },
			form: url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {canaryRefresh},
				"client_id": {"app"}, "client_secret": {canarySecret},
			},
		},
		"refresh, edited": {
			call: refresh, account: public, change: func(e *Endpoint) {
				e.AuthStyle = oauth2.AuthStyleInParams
				e.EditForm = func(f url.Values) {
					f.Del("client_id")
					f.Set("redirect_uri", "https://there")
				}
			},
			form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {canaryRefresh}, "redirect_uri": {"https://there"}},
		},
		"exchange": {
			call: exchange, account: account(), basic: true,
			form: url.Values{"grant_type": {"authorization_code"}, "code": {"code"}, "redirect_uri": {"https://127.0.0.1:8182"}},
		},
		"exchange, PKCE": {
			call: exchange, account: public, change: func(e *Endpoint) {
				e.AuthStyle = oauth2.AuthStyleInParams
				e.PKCE = true
			},
			form: url.Values{
				"grant_type": {"authorization_code"}, "code": {"code"}, "redirect_uri": {"https://127.0.0.1:8182"},
				"client_id": {"app"}, "code_verifier": {"verifier"},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answerWith(200, "application/json", goodAnswer))
			e := endpointAt(s.URL)
			if tt.change != nil {
				tt.change(&e)
			}
			if err := tt.call(e, tt.account); err != nil {
				t.Fatal(err)
			}
			if s.count() != 1 {
				t.Fatalf("%d requests", s.count())
			}
			if got := url.Values(s.forms[0]); !reflect.DeepEqual(got, tt.form) {
				t.Errorf("form %v, want %v", got, tt.form)
			}
			r := s.posts[0]
			id, secret, basic := r.BasicAuth()
			if basic != tt.basic || basic && (id != "app" || secret != canarySecret) {
				t.Errorf("basic auth %t %s", basic, id)
			}
			if r.Method != http.MethodPost || r.Header.Get("Idempotency-Key") != "" || r.Header.Get("Expect") != "" {
				t.Errorf("%s with %v", r.Method, r.Header)
			}
		})
	}
}

func TestMisconfigured(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	tests := map[string]struct {
		change func(*Endpoint, *sdk.RefreshRequest)
		kind   sdk.Kind
		names  string
	}{
		"auth style not set": {func(e *Endpoint, _ *sdk.RefreshRequest) { e.AuthStyle = 0 }, sdk.KindInvalidClient, "AuthStyle"},
		"no token URL":       {func(e *Endpoint, _ *sdk.RefreshRequest) { e.TokenURL = "" }, sdk.KindInvalidClient, "token_url"},
		"relative URL":       {func(e *Endpoint, _ *sdk.RefreshRequest) { e.TokenURL = "/token" }, sdk.KindInvalidClient, "token_url"},
		"in the clear": {func(e *Endpoint, _ *sdk.RefreshRequest) {
			e.TokenURL = "http://user:" + canaryBody + "@broker.example/token"
		}, sdk.KindInvalidClient, "https://"},
		"no client id":     {func(_ *Endpoint, r *sdk.RefreshRequest) { r.Account.ClientID = "" }, sdk.KindInvalidClient, "client_id"},
		"no refresh token": {func(_ *Endpoint, r *sdk.RefreshRequest) { r.Token = sdk.Token{} }, sdk.KindNotSent, "log in"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e, req := endpointAt(s.URL), refreshRequest()
			tt.change(&e, &req)
			_, err := (&Client{}).Refresh(t.Context(), e, req)
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.names) || !strings.Contains(err.Error(), "main") {
				t.Errorf("%q names neither %s nor the account", err, tt.names)
			}
		})
	}
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
}

func TestAuthCodeURL(t *testing.T) {
	e := endpointAt("https://broker.example")
	e.PKCE = true
	raw, err := e.AuthCodeURL(sdk.AuthRequest{Account: account(), State: "S", CodeVerifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "state": {"S"}, "redirect_uri": {"https://127.0.0.1:8182"},
		// RFC 7636, appendix B.
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	if u.Host != "broker.example" || u.Path != "/authorize" || !reflect.DeepEqual(u.Query(), want) {
		t.Errorf("got %s", raw)
	}

	_, err = e.AuthCodeURL(sdk.AuthRequest{Account: account(), State: "S"})
	wantKind(t, err, sdk.KindInvalidClient)
	bare := account()
	bare.RedirectURL = ""
	_, err = e.AuthCodeURL(sdk.AuthRequest{Account: bare, State: "S", CodeVerifier: "v"})
	wantKind(t, err, sdk.KindInvalidClient)
	if !strings.Contains(err.Error(), "redirect_url") {
		t.Errorf("%q does not name the setting", err)
	}
}
