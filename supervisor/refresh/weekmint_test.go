package refresh_test

import (
	"context"
	"crypto/ecdsa"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// signing is a provider that mints from a key, and keeps alive what it has minted: its
// broker ends an earlier session with each new one. Interactive Brokers.
type signing struct {
	*idling
	mints oauth.Client
	key   *ecdsa.PrivateKey
	token string
}

func newSigning(s *brokersim.Server, key *ecdsa.PrivateKey) *signing {
	s.LoginAs("main")
	beats := http.Client{Transport: &http.Transport{DialContext: s.Dial, DisableKeepAlives: true}}
	return &signing{&idling{http: beats, url: s.KeepaliveURL()}, oauth.Client{Dial: s.Dial}, key, s.TokenURL()}
}

func (*signing) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", KeepaliveEvery: time.Minute, Policy: sdk.Policy{AccessLifetime: 24 * time.Hour, BeforeExpiry: time.Hour}}, nil
}

func (p *signing) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	e := oauth.Endpoint{TokenURL: p.token, AuthStyle: oauth.AuthInParams}
	e.Requests.Assertion = &oauth.Assertion{Key: p.key, Audience: "/token"}
	req.Account.Scopes = []string{"sso-sessions.write"}
	return p.mints.Mint(ctx, e, req)
}

// oneTime is one that mints with a PIN and a code of the moment, which the broker takes
// once: Dhan.
type oneTime struct {
	sdk.NoRefresh
	http     oauth.Client
	url, pin string
	key      []byte
}

func newOneTime(s *brokersim.Server) *oneTime {
	c := s.Config()
	return &oneTime{http: oauth.Client{Dial: s.Dial}, url: s.MintURL(), pin: c.PIN, key: c.TOTPKey}
}

func (*oneTime) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Repeat: sdk.RepeatReplaces, Policy: sdk.Policy{AccessLifetime: 24 * time.Hour, BeforeExpiry: time.Hour}}, nil
}

func (p *oneTime) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	q := url.Values{"dhanClientId": {req.Account.Name}, "pin": {p.pin}, "totp": {brokersim.TOTP(p.key, time.Now())}}
	return p.http.Mint(ctx, oauth.Endpoint{
		TokenURL: p.url + "?" + q.Encode(), AuthStyle: oauth.AuthNone, EditForm: func(f url.Values) { clear(f) },
		Answers: oauth.Answers{
			Names: map[string][]string{"access_token": {"accessToken"}}, ExpiresAt: "expiryTime", Zone: time.FixedZone("IST", 19800),
		},
		Errors: oauth.Errors{Code: "status", Kinds: map[string]sdk.Kind{"error": sdk.KindInvalidGrant}},
	}, req)
}

// mintLost has another one minted, and the answer lost.
func (w *week) mintLost() {
	w.sim.Inject(brokersim.LostAnswer().At(brokersim.AfterProcessing))
	_, _ = w.keeper.Refresh(w.t.Context(), "main", true)
}
