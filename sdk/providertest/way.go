package providertest

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// way is how an account of the provider gets a token, and so what one attempt of the
// suite is. The rules of attempts are the same for all.
type way string

const (
	refreshes way = "refresh" // the refresh token is spent
	renews    way = "renew"   // the living access token is sent
	mints     way = "mint"    // a key is used, and no token is needed
	logsIn    way = "login"   // a person's code is exchanged
	guided    way = "guided"  // a login that a sdk.LoginGuide has begun is ended
	none      way = ""        // nothing is sent: tokens are imported, and served until they die
)

// turn is a way that the suite goes, with the shape of a guided login.
type turn struct {
	way   way
	shape sdk.LoginShape
}

// name is what the rule of one attempt is called.
func (w turn) name() string {
	switch w.way {
	case renews:
		return "Renew"
	case mints:
		return "Mint"
	case guided:
		return "EndLogin_" + string(w.shape)
	}
	return "Refresh"
}

// turnsOf are the ways that a provider has, the first of which is held to the rules of
// processes, too. A code exchange beside another way has a rule of its own, Login.
func turnsOf(d sdk.Description) []turn {
	var all []turn
	if !d.NoRefresh {
		all = append(all, turn{way: refreshes})
	}
	if d.Renewer {
		all = append(all, turn{way: renews})
	}
	if d.Minter {
		all = append(all, turn{way: mints})
	}
	if d.Authorizer && len(all) == 0 {
		all = append(all, turn{way: logsIn})
	}
	if d.LoginGuide {
		for _, shape := range d.Logins {
			all = append(all, turn{guided, shape})
		}
	}
	if len(all) == 0 {
		all = append(all, turn{})
	}
	return all
}

// known asks the provider who it is. What can't describe itself is found by
// testDescribe, and taken for one with refresh tokens.
func (s Suite) known(t *testing.T) sdk.Description {
	t.Helper()
	d, err := s.fresh(t).Describe(call(t))
	if err != nil {
		return sdk.Description{}
	}
	return d
}

// on is the suite for one way.
func (s Suite) on(w turn) Suite {
	s.turn, s.Broker = w, s.words
	switch {
	case w.way == mints && s.MintBroker != nil:
		s.Broker = s.MintBroker.complete()
	case w.way == guided && s.LoginBroker != nil:
		s.Broker = s.LoginBroker.complete()
	}
	return s
}

// next makes one attempt.
func (s Suite) next(ctx context.Context, p *sdk.Remote, req sdk.RefreshRequest) (sdk.Token, error) {
	a, err := s.answer(ctx, p, req)
	return a.Token, err
}

// answer is next that also tells how the answer was come by.
func (s Suite) answer(ctx context.Context, p *sdk.Remote, req sdk.RefreshRequest) (sdk.Answer, error) {
	switch s.way {
	case renews:
		return p.RenewAnswer(ctx, sdk.RenewRequest(req))
	case mints:
		return p.MintAnswer(ctx, sdk.MintRequest(req))
	case logsIn:
		return p.ExchangeAnswer(ctx, sdk.ExchangeRequest{
			Attempt: req.Attempt, Account: req.Account, Code: sdk.NewSecret(s.spent(req)), CodeVerifier: sdk.NewSecret(verifier),
		})
	case guided:
		return p.EndLoginAnswer(ctx, sdk.EndLoginRequest{
			Attempt: req.Attempt, Account: req.Account, Login: s.begun, Given: sdk.NewSecret(s.handedIn(req)),
		})
	}
	return p.RefreshAnswer(ctx, req)
}

// spent is what the request of an attempt must carry; "": nobody can tell, as of a
// key, which never leaves the provider. A code, or what else a person hands in, goes by
// the name of the token in whose place it stands.
func (s Suite) spent(req sdk.RefreshRequest) string {
	switch {
	case s.way == refreshes:
		return req.Token.RefreshToken.Reveal()
	case s.way == mints:
		return ""
	case s.way == guided && polled(s.shape):
		for _, private := range s.begun.Private {
			if private.Reveal() == deviceCode {
				return deviceCode
			}
		}
		return ""
	}
	return req.Token.AccessToken.Reveal()
}

// carriesToken: the request carries what differs from account to account.
func (s Suite) carriesToken() bool {
	return s.way != mints && !(s.way == guided && polled(s.shape))
}

// handedIn is what comes of the person for [sdk.EndLoginRequest.Given].
func (s Suite) handedIn(req sdk.RefreshRequest) string {
	secret := s.spent(req)
	switch {
	case polled(s.shape):
		return ""
	case s.HandIn != nil:
		return s.HandIn(s.shape, secret)
	case s.shape == sdk.LoginPasteAddress || s.shape == sdk.LoginRedirect:
		return cmp.Or(s.Account.RedirectURL, "https://127.0.0.1") + "?" + url.Values{"code": {secret}, "state": {loginState}}.Encode()
	}
	return secret
}

// success is the broker's answer to a request that is granted. Where the provider
// knows no refresh tokens, there is none in it.
func (s Suite) success(access, refresh string) (status int, body string) {
	return s.Broker.Success(access, s.given(refresh))
}

func (s Suite) given(refresh string) string {
	if s.noRefresh {
		return ""
	}
	return refresh
}

// keysOf are the secrets of an account that the provider turns into requests, which no
// error may tell. One of several lines, such as a key in PEM, goes by its lines, too.
func (s Suite) keysOf(d sdk.Description) []string {
	var keys []string
	for _, setting := range d.Settings {
		value := s.Account.Settings[setting.Name]
		if !setting.Secret || value == "" {
			continue
		}
		keys = append(keys, value)
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
				keys = append(keys, line)
			}
		}
	}
	return keys
}
