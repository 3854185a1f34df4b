package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

// A token is minted from a key, anew for each request, and the broker finds nothing
// wrong with it.
func TestMint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sim := brokersim.New(brokersim.Config{Dialect: brokersim.IBKR, ClientKey: &key.PublicKey})
		defer sim.Close()
		sim.LoginAs("main")
		e := Endpoint{TokenURL: sim.TokenURL(), AuthStyle: AuthInParams}
		e.Requests.Assertion = &Assertion{Key: key, Audience: "/token"}
		a := sdk.Account{Name: "main", ClientID: sim.Config().ClientID, Scopes: []string{"sso-sessions.write"}}
		client := &Client{Dial: sim.Dial}
		for range 2 {
			token, err := client.Mint(t.Context(), e, sdk.MintRequest{Account: a})
			if err != nil || !sim.AccessValid(token.AccessToken.Reveal()) || token.Lifetime != 86399*time.Second || !token.RefreshToken.IsZero() {
				t.Errorf("lifetime %s, %v", token.Lifetime, err)
			}
		}
		if v := sim.Violations(); len(v) > 0 || sim.Account("main").Posts != 2 {
			t.Errorf("the broker complains: %+v", v)
		}
	})
}

// A living token renews itself, by GET and in a header of the broker's; a dead one
// does not, which the broker says in a 200.
func TestRenew(t *testing.T) {
	for name, tt := range map[string]struct {
		dialect brokersim.Dialect
		change  func(*Endpoint, sdk.Secret)
	}{
		"Tradovate": {brokersim.Tradovate, func(e *Endpoint, _ sdk.Secret) {
			e.Answers.ExpiresAt, e.Errors.Code = "expirationTime", "errorText"
		}},
		"Dhan": {brokersim.Dhan, func(e *Endpoint, token sdk.Secret) {
			e.Requests.Header = map[string]string{"access-token": token.Reveal()}
			e.Answers.ExpiresAt, e.Answers.Zone = "expiryTime", time.FixedZone("IST", 19800)
			e.Errors = Errors{Code: "status", Kinds: map[string]sdk.Kind{"error": sdk.KindInvalidGrant}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := brokersim.New(brokersim.Config{Dialect: tt.dialect})
				defer sim.Close()
				first := sim.Grant("main")
				token := sdk.Token{AccessToken: sdk.NewSecret(first.AccessToken), IssuedAt: first.IssuedAt, Lifetime: first.ExpiresIn}
				client := &Client{Dial: sim.Dial}
				renew := func() (sdk.Token, error) {
					e := Endpoint{TokenURL: sim.URL() + "/login", RefreshURL: sim.RenewURL(), AuthStyle: AuthNone}
					e.Requests.Encoding, e.Answers.Names = EncodingQuery, camel
					tt.change(&e, token.AccessToken)
					return client.Renew(t.Context(), e, sdk.RenewRequest{Account: sdk.Account{Name: "main"}, Token: token})
				}
				for range 5 {
					time.Sleep(token.Lifetime - 10*time.Minute)
					next, err := renew()
					if err != nil {
						t.Fatal(err)
					}
					if token = next; !sim.AccessValid(token.AccessToken.Reveal()) || (token.Lifetime-first.ExpiresIn).Abs() > time.Second {
						t.Fatalf("lifetime %s, want %s", token.Lifetime, first.ExpiresIn)
					}
				}
				time.Sleep(token.Lifetime + time.Second)
				_, err := renew()
				if err == nil || sdk.KindOf(err) == sdk.KindAmbiguous {
					t.Errorf("a dead token: %v", err)
				}
				token = sdk.Token{}
				_, err = renew()
				wantKind(t, err, sdk.KindNotSent)
			})
		})
	}
}

// The answer to a renewal that has the new access token where nobody looks is kept for a
// person: the one that was sent may be dead, and there is no other way but a login. To a
// refresh an access token alone is no login.
func TestRenewalThatNobodyCanRead(t *testing.T) {
	const next = "next-access-token-2"
	for body, unread := range map[string]bool{
		`{"dhanClientId":"1000000001","token":"` + next + `","expiryTime":"2026-12-01T06:00:00Z"}`: true,
		`{"data":{"session":{"jwtToken":"` + next + `"}}}`:                                         true,
		`{"access":{"value":"` + next + `"}}`:                                                      true,
		`{"token":"` + canaryAccess + `"}`:                                                         false, // an echo
		`{"tokenId":"12345678-abcd-efgh","tokenExpiry":"2026-12-01T06:00:00Z"}`:                    false,
		`{"status":"success","message":"token renewed at 06:00","remarks":"request-number-17"}`:    false,
		`{"clientId":"client-number-1000001"}`:                                                     false,
		`{}`:                                                                                       false,
	} {
		s := serve(t, answerWith(200, "application/json", body))
		renewal := sdk.RenewRequest{Account: refreshRequest().Account, Token: sdk.Token{AccessToken: sdk.NewSecret(canaryAccess)}}
		_, err := (&Client{}).Renew(t.Context(), endpointAt(s.URL), renewal)
		var e *sdk.Error
		if !errors.As(err, &e) || e.Kind != sdk.KindAmbiguous || e.Unread != unread || unread && !strings.Contains(e.Message, "the new access token") {
			t.Errorf("%s: %v, want it held: %t", body, err, unread)
		}
		if _, err = (&Client{}).Refresh(t.Context(), endpointAt(s.URL), refreshRequest()); !errors.As(err, &e) || e.Unread {
			t.Errorf("%s, of a refresh: %v", body, err)
		}
	}
}
