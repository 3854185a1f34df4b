package main

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	logins "github.com/tokenkeeper/tokenkeeper/supervisor/login"
)

// check and plugins say how a provider gets tokens.
func TestKindOfAProvider(t *testing.T) {
	guided := func(shapes ...sdk.LoginShape) sdk.Description {
		return sdk.Description{LoginGuide: true, Logins: shapes}
	}
	for want, d := range map[string]sdk.Description{
		"login: redirect; tokens are refreshed":                          {Authorizer: true},
		"login: none, a token is imported; tokens are refreshed":         {},
		"login: device code or approval elsewhere; tokens are refreshed": guided(sdk.LoginDevice, sdk.LoginApproval),
		"login: paste of a refresh token or verifier or paste of an address or callback; tokens are refreshed": guided(
			sdk.LoginPasteToken, sdk.LoginVerifier, sdk.LoginPasteAddress, sdk.LoginCallback),
		"login: none, a token is imported; the access token renews itself":                            {NoRefresh: true, Renewer: true},
		"login: redirect; the next token comes from a login":                                          {NoRefresh: true, Authorizer: true},
		"login: none; tokens are minted from the key":                                                 {NoRefresh: true, Minter: true},
		"login: redirect; tokens are refreshed; or minted from the key":                               {Authorizer: true, Minter: true},
		"login: none, a token is imported; the next token comes from a file; sessions are kept alive": {NoRefresh: true, Keepalive: true},
	} {
		p := plugin{Logins: logins.Shapes(d), Way: wayBy(d), Mints: d.Minter, KeepsAlive: d.Keepalive}
		if got := kindOf(p); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
	if got := kindOf(plugin{Kind: kindSink}); got != "" {
		t.Errorf("a sink: %q", got)
	}
}
