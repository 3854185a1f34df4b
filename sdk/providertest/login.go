package providertest

import (
	"net/url"
	"reflect"
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// verifier is the example of RFC 7636, appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func testLogin(t *testing.T, s trial) {
	s.words = s.usual
	if !s.described.Authorizer {
		b := s.newBroker(t, hangUp)
		_, err := s.fresh(t).Exchange(call(t), s.exchange("one", b))
		if err == nil {
			t.Error("a provider that is no sdk.Authorizer exchanged a code")
		}
		return
	}
	t.Run("AuthCodeURL", func(t *testing.T) { testAuthCodeURL(t, s) })
	t.Run("Exchange", func(t *testing.T) { testExchange(t, s) })
}

func testAuthCodeURL(t *testing.T, s trial) {
	b := s.newBroker(t, hangUp)
	raw, err := s.fresh(t).AuthCodeURL(call(t), sdk.AuthRequest{
		Account: s.account("main", b), State: "state-1", CodeVerifier: verifier,
	})
	if err != nil {
		t.Fatalf("AuthCodeURL: %v", err)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		t.Fatalf("AuthCodeURL gave %q, which is no absolute URL", raw)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("state") != "state-1" || q.Get("client_id") != s.Account.ClientID {
		t.Errorf("the address lacks response_type=code, the state or the client_id: %s", raw)
	}
	if q.Get("code_verifier") != "" || q.Get("client_secret") != "" {
		t.Error("the address tells a secret")
	}
	if c := q.Get("code_challenge"); c != "" && (c != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" || q.Get("code_challenge_method") != "S256") {
		t.Error("the code challenge is not S256 of the verifier")
	}
	b.wantPosts(t, 0)
}

// testExchange: at some brokers a login kills the old grant, so that losing
// its answer is worst of all.
func testExchange(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	dir := t.TempDir()
	p := s.start(t, dir)
	first, err := p.Exchange(call(t), s.exchange("one", b))
	if err != nil {
		t.Fatalf("Exchange: %v", err)
	}
	s.wantToken(t, first, s.access(newAccess), newRefresh)
	if posts := b.posts(); len(posts) == 1 && (posts[0].Get("grant_type") != "authorization_code" || posts[0].Get("code") != "canary-code") {
		t.Error("the request is no code exchange")
	}
	p.die()

	p = s.start(t, dir)
	a, err := p.ExchangeAnswer(call(t), s.exchange("one", b))
	if err != nil {
		t.Fatalf("recovery of an exchange: %v", err)
	}
	if !a.Recovered || !reflect.DeepEqual(a.Token, first) {
		t.Errorf("recovered %t; the tokens are equal: %t", a.Recovered, reflect.DeepEqual(a.Token, first))
	}
	b.wantPosts(t, 1)

	// What came of the exchange must do for what follows it.
	if err := p.Settle(call(t), "one"); err != nil {
		t.Fatal(err)
	}
	if s.way == refreshes || s.way == renews {
		req := s.request("two", b)
		req.Token = a.Token
		if _, err := s.next(call(t), p.Remote, req); err != nil {
			t.Errorf("the first %s after the login: %v", s.way, err)
		}
		if carried := b.carried(s.spent(req)); !slices.Equal(carried, []bool{false, true}) {
			t.Errorf("%d requests; want the exchange, and one with the token that it brought", len(carried))
		}
	}

	lost := s.newBroker(t, hangUp)
	_, err = s.fresh(t).Exchange(call(t), s.exchange("three", lost))
	if sdk.KindOf(err) != sdk.KindAmbiguous {
		t.Errorf("an exchange whose answer was lost: %v, want an error of the kind ambiguous", err)
	}
	lost.wantPosts(t, 1)
	if err != nil {
		s.wantNoSecret(t, err)
	}
}
