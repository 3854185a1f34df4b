package providertest

import (
	"context"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// way is how an account of the provider gets its next token, and so what one attempt
// of the suite is. The rules of attempts are the same for all.
type way string

const (
	refreshes way = "refresh" // the refresh token is spent
	renews    way = "renew"   // the living access token is sent
	logsIn    way = "login"   // a person's code is exchanged
	none      way = ""        // nothing is sent: tokens are imported, and served until they die
)

// wayOf asks the provider. What can't describe itself is found by testDescribe.
func (s Suite) wayOf(t *testing.T) way {
	t.Helper()
	d, err := s.start(t, t.TempDir()).Describe(call(t))
	switch {
	case err != nil || !d.NoRefresh:
		return refreshes
	case d.Renewer:
		return renews
	case d.Authorizer:
		return logsIn
	}
	return none
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
	case logsIn:
		return p.ExchangeAnswer(ctx, sdk.ExchangeRequest{
			Attempt: req.Attempt, Account: req.Account, Code: sdk.NewSecret(s.spent(req)), CodeVerifier: sdk.NewSecret(verifier),
		})
	}
	return p.RefreshAnswer(ctx, req)
}

// spent is what the request of an attempt must carry. A code goes by the name of the
// token in whose place it stands.
func (s Suite) spent(req sdk.RefreshRequest) string {
	if s.way == refreshes {
		return req.Token.RefreshToken.Reveal()
	}
	return req.Token.AccessToken.Reveal()
}

// success is the broker's answer to a request that is granted. Where the provider
// knows no refresh tokens, there is none in it.
func (s Suite) success(access, refresh string) (status int, body string) {
	return s.Broker.Success(access, s.given(refresh))
}

func (s Suite) given(refresh string) string {
	if s.way != refreshes {
		return ""
	}
	return refresh
}
