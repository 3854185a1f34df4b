package oauth

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

// A login by a device code: the person is slow, one poll comes too early, and the
// broker finds nothing wrong with the rest.
func TestDevice(t *testing.T) {
	for name, style := range map[string]struct {
		dialect brokersim.Dialect
		style   Endpoint
	}{
		"in the header":     {brokersim.Xero, Endpoint{AuthStyle: AuthInHeader}},
		"in the parameters": {brokersim.Tradovate, Endpoint{AuthStyle: AuthInParams, Answers: Answers{Names: camel}, Errors: Errors{Code: "errorText"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := brokersim.New(brokersim.Config{Dialect: style.dialect, Device: true})
				defer sim.Close()
				e := style.style
				e.DeviceURL, e.TokenURL = sim.DeviceURL(), sim.TokenURL()
				a := sdk.Account{Name: "main", ClientID: sim.Config().ClientID, ClientSecret: sdk.NewSecret(sim.Config().ClientSecret), Scopes: []string{"a", "b"}}
				client := &Client{Dial: sim.Dial}
				login, err := client.BeginDevice(t.Context(), e, sdk.BeginLoginRequest{Account: a, Shape: sdk.LoginDevice})
				if err != nil {
					t.Fatal(err)
				}
				if login.Shape != sdk.LoginDevice || len(login.UserCode) != 9 || !strings.Contains(login.Address, login.UserCode) ||
					login.PollEvery != 5*time.Second || time.Until(login.Expires) != 30*time.Minute {
					t.Errorf("begun: %+v", login)
				}
				end := func() (sdk.Token, error) {
					return client.EndDevice(t.Context(), e, sdk.EndLoginRequest{Account: a, Login: login})
				}
				if style.dialect == brokersim.Xero {
					wait := 5 * time.Second
					for i, after := range []time.Duration{0, 5 * time.Second, time.Second, 10 * time.Second} {
						time.Sleep(after)
						_, err := end()
						wantKind(t, err, sdk.KindPending)
						slower := time.Duration(0)
						if i == 2 {
							slower = wait + 5*time.Second
						}
						if e := err.(*sdk.Error); e.RetryAfter != slower || e.HTTPStatus != 400 {
							t.Errorf("poll %d: HTTP %d, wait %s", i, e.HTTPStatus, e.RetryAfter)
						}
					}
					if v := sim.Violations(); len(v) != 1 {
						t.Errorf("the broker complains: %+v", v)
					}
				}
				time.Sleep(10 * time.Second)
				sim.ApproveDevice(login.UserCode, "main")
				token, err := end()
				if err != nil || !sim.AccessValid(token.AccessToken.Reveal()) {
					t.Errorf("approved: %v", err)
				}
				_, err = end()
				if err == nil || sdk.KindOf(err) == sdk.KindPending || sdk.KindOf(err) == sdk.KindAmbiguous {
					t.Errorf("a second time: %v", err)
				}
			})
		})
	}
}

// What a broker answers to the beginning is read with care, and its failures are
// harmless.
func TestBeginDevice(t *testing.T) {
	const whole = `{"device_code":"D","user_code":"U","verification_uri":"https://x.example"`
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   sdk.Kind
	}{
		"Google's name of the address": {200, `{"device_code":"D","user_code":"U","verification_url":"https://x.example"}`, ""},
		"another interval":             {200, whole + `,"interval":"7","expires_in":"60"}`, ""},
		"an address that is none":      {200, `{"device_code":"D","user_code":"U","verification_uri":"javascript:alert(1)"}`, sdk.KindTransient},
		"a complete one that is none":  {200, whole + `,"verification_uri_complete":"javascript:alert(1)"}`, ""},
		"no code":                      {200, `{"user_code":"U","verification_uri":"https://x.example"}`, sdk.KindTransient},
		"a page":                       {200, "<html>", sdk.KindTransient},
		"a cut answer":                 {200, whole, sdk.KindTransient},
		"an unknown client":            {401, `{"error":"invalid_client"}`, sdk.KindInvalidClient},
		"no such grant":                {400, `{"error":"unauthorized_client"}`, sdk.KindInvalidClient},
		"out of order":                 {503, "", sdk.KindTransient},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := record(t, tt.status, tt.body)
			login, err := new(Client).BeginDevice(t.Context(), Endpoint{DeviceURL: address, AuthStyle: AuthInParams},
				sdk.BeginLoginRequest{Account: sdk.Account{Name: "main", ClientID: "app"}, Shape: sdk.LoginDevice})
			if tt.kind != "" {
				wantKind(t, err, tt.kind)
				return
			}
			if err != nil || login.Address != "https://x.example" || login.UserCode != "U" || login.Private[deviceCode].Reveal() != "D" {
				t.Errorf("%+v, %v", login, err)
			}
			if want := strings.Contains(tt.body, `"7"`); want != (login.PollEvery == 7*time.Second) || want == login.Expires.IsZero() {
				t.Errorf("every %s until %s", login.PollEvery, login.Expires)
			}
		})
	}
	_, err := new(Client).BeginDevice(t.Context(), Endpoint{DeviceURL: "http://x.example"}, sdk.BeginLoginRequest{Shape: sdk.LoginDevice, Account: sdk.Account{ClientID: "app"}})
	wantKind(t, err, sdk.KindInvalidClient)
}
