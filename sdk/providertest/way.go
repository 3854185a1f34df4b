package providertest

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"testing"
	"time"

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

// attempts are made in one way, with a provider that is asked as the supervisor would.
type attempts struct {
	subject
	wording
	turn
	begun sdk.Login // that the attempts of a guided turn end
}

// request is what one attempt of account "main" is made with.
func (s attempts) request(attempt string, b *broker) sdk.RefreshRequest {
	req := sdk.RefreshRequest{
		Attempt: sdk.Attempt{ID: attempt, Version: 3, Deadline: time.Now().Add(10 * time.Second)},
		Account: s.account("main", b),
		Token: sdk.Token{
			AccessToken: sdk.NewSecret(oldAccess), RefreshToken: sdk.NewSecret(s.given(oldRefresh)),
			IssuedAt: time.Now().Add(-Lifetime / 2), Lifetime: Lifetime, Private: maps.Clone(s.Private),
		},
	}
	if s.way == refreshes || s.way == renews {
		req.Attempt.Fingerprint = sdk.NewSecret(s.spent(req)).Fingerprint()
	}
	return req
}

// next makes one attempt.
func (s attempts) next(ctx context.Context, p *sdk.Remote, req sdk.RefreshRequest) (sdk.Token, error) {
	a, err := s.answer(ctx, p, req)
	return a.Token, err
}

// answer is next that also tells how the answer was come by.
func (s attempts) answer(ctx context.Context, p *sdk.Remote, req sdk.RefreshRequest) (sdk.Answer, error) {
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

// underWay begins a refresh, and returns when its request has arrived at the broker. Its
// error comes when it has ended.
func (s attempts) underWay(t *testing.T, p *process, b *broker, arrived <-chan struct{}) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	ctx := call(t)
	go func() {
		_, err := s.next(ctx, p.Remote, s.request("one", b))
		done <- err
	}()
	select {
	case <-arrived:
	case err := <-done:
		t.Fatalf("no request came: %v", err)
	}
	return done
}

// spent is what the request of an attempt must carry; "": nobody can tell, as of a
// key, which never leaves the provider. A code, or what else a person hands in, goes by
// the name of the token in whose place it stands.
func (s attempts) spent(req sdk.RefreshRequest) string {
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
func (s attempts) carriesToken() bool {
	return s.way != mints && !(s.way == guided && polled(s.shape))
}

// handedIn is what comes of the person for [sdk.EndLoginRequest.Given].
func (s attempts) handedIn(req sdk.RefreshRequest) string {
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

func (s attempts) exchange(attempt string, b *broker) sdk.ExchangeRequest {
	return sdk.ExchangeRequest{
		Attempt:      sdk.Attempt{ID: attempt, Deadline: time.Now().Add(10 * time.Second)},
		Account:      s.account("main", b),
		Code:         sdk.NewSecret("canary-code"),
		CodeVerifier: sdk.NewSecret(verifier),
	}
}

func (s attempts) beginning(shape sdk.LoginShape, b *broker) sdk.BeginLoginRequest {
	req := sdk.BeginLoginRequest{Account: s.account("main", b), Shape: shape, State: loginState, CodeVerifier: verifier}
	if shape == sdk.LoginCallback {
		req.CallbackURL = callbackURL
	}
	return req
}

// beat has the newest token without its refresh token, which is nobody's business here.
func (s attempts) beat(b *broker) sdk.KeepaliveRequest {
	req := sdk.KeepaliveRequest{Account: s.account("main", b), Token: s.request("", b).Token}
	req.Token.RefreshToken = sdk.Secret{}
	return req
}
