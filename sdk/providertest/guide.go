package providertest

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

const (
	// deviceCode is what the suite's server answers to a device login that begins.
	deviceCode = "canary-device-code"
	loginState = "state-1"
	// callbackURL is ours for a login that comes back by a post.
	callbackURL = "https://tokenkeeper.example/callback/an-address-that-nobody-guesses"
)

var shapes = []sdk.LoginShape{
	sdk.LoginRedirect, sdk.LoginPasteAddress, sdk.LoginPasteToken, sdk.LoginVerifier, sdk.LoginDevice, sdk.LoginApproval, sdk.LoginCallback,
}

// polled: nobody hands anything in, and we ask until the person is done.
func polled(shape sdk.LoginShape) bool { return shape == sdk.LoginDevice || shape == sdk.LoginApproval }

// testBeginLogin: each declared shape can be begun as often as one likes, and no other
// one. A login that has begun is nothing that could be lost.
func testBeginLogin(t *testing.T, s trial) {
	if !s.described.LoginGuide {
		t.Skip("no sdk.LoginGuide")
	}
	d, err := s.fresh(t).Describe(call(t))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	for _, shape := range shapes {
		switch s := s.on(turn{guided, shape}); {
		case slices.Contains(d.Logins, shape):
			t.Run(string(shape), func(t *testing.T) { testBegin(t, s) })
		case shape != sdk.LoginRedirect || !d.Authorizer:
			t.Run("not_"+string(shape), func(t *testing.T) { testBeginsNot(t, s) })
		}
	}
}

func testBegin(t *testing.T, s trial) {
	b := s.beside(t, s.begins(s.shape))
	dir := t.TempDir()
	p := s.start(t, dir)
	for _, time := range []string{"first", "second"} {
		login, err := p.BeginLogin(call(t), s.beginning(s.shape, b))
		if err != nil {
			t.Fatalf("the %s BeginLogin: %v", time, err)
		}
		s.wantLogin(t, login)
	}
	if left, err := p.Unsettled(call(t)); err != nil || len(left.Entries) != 0 {
		t.Errorf("the spool lists %+v (%v) after BeginLogin, which is no attempt", left.Entries, err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"an error": respond(400, "application/json", `{"error":"`+clientSecret+`","error_description":"`+bodyText+`"}`),
		"a page":   respond(500, "text/html", "<html>"+bodyText+"</html>"), "no answer": hangUp,
	} {
		if _, err := p.BeginLogin(call(t), s.beginning(s.shape, s.beside(t, answer))); err != nil { // which need not ask
			s.wantNoSecret(t, err)
		} else if s.asks(t) {
			t.Errorf("BeginLogin is content with %s of the broker", name)
		}
	}
}

func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func testBeginsNot(t *testing.T, s trial) {
	b := s.beside(t, s.begins(s.shape))
	if login, err := s.fresh(t).BeginLogin(call(t), s.beginning(s.shape, b)); err == nil {
		t.Errorf("a login of the shape %q has begun, as %q, and Description.Logins does not list it", s.shape, login.Shape)
	}
	b.wantPosts(t, 0)
}

// testPending: while the person is not done each attempt ends with the kind pending,
// and is no burden to the next one. What ends the login is told as such.
func testPending(t *testing.T, s trial) {
	if s.way != guided || !polled(s.shape) {
		t.Skip("nothing is polled")
	}
	status, body := s.words.Pending()
	waits := []http.HandlerFunc{respond(status, "application/json", body)}
	ends := map[string]string{}
	if s.shape == sdk.LoginDevice && s.words.rfc8628 {
		waits = append(waits, respond(400, "application/json", `{"error":"slow_down"}`))
		ends = map[string]string{"the person said no": `{"error":"access_denied"}`, "the code is too old": `{"error":"expired_token"}`}
	}
	answers := append(slices.Clone(waits), s.grant(s.access(newAccess), newRefresh))
	var asked atomic.Int32
	b := s.newBroker(t, func(w http.ResponseWriter, r *http.Request) {
		if n := int(asked.Add(1)); n <= len(answers) {
			answers[n-1](w, r)
		}
	})
	p := s.fresh(t)
	for i := range waits {
		attempt := []string{"one", "two"}[i]
		_, err := s.next(call(t), p.Remote, s.request(attempt, b))
		if sdk.KindOf(err) != sdk.KindPending || err == nil {
			t.Fatalf("the person is not done: %v, want an error of the kind pending, and one request", err)
		}
		s.wantNoSecret(t, err)
		if err := p.Settle(call(t), attempt); err != nil {
			t.Fatalf("Settle: %v", err)
		}
		b.wantPosts(t, i+1)
	}
	token, err := s.next(call(t), p.Remote, s.request("three", b))
	if err != nil {
		t.Fatalf("the attempt after the pending ones: %v", err)
	}
	s.wantToken(t, token, s.access(newAccess), newRefresh)
	for why, body := range ends {
		_, err := s.next(call(t), s.fresh(t).Remote, s.request("one", s.newBroker(t, respond(400, "application/json", body))))
		if sdk.KindOf(err) != sdk.KindInvalidGrant {
			t.Errorf("%s: %v, want an error of the kind invalid_grant, since nobody can end this login any more (RFC 8628, section 3.5)", why, err)
		}
	}
}

// testForgedPost: anybody may post to an address. What is no post of the broker's is
// not asked about, and ends no login: the true one may be on its way.
func testForgedPost(t *testing.T, s trial) {
	if s.shape != sdk.LoginCallback {
		t.Skip("nothing is posted")
	}
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	p := s.fresh(t)
	for what, post := range map[string]string{
		"nothing": "", "an empty object": "{}", "null": "null", "a page": "<html>" + bodyText + "</html>",
		"what is cut off": s.handedIn(s.request("", b))[:1],
	} {
		_, err := p.EndLogin(call(t), sdk.EndLoginRequest{
			Attempt: sdk.Attempt{ID: "forged", Deadline: time.Now().Add(10 * time.Second)},
			Account: s.account("main", b), Login: s.begun, Given: sdk.NewSecret(post),
		})
		if sdk.KindOf(err) != sdk.KindNotSent || err == nil {
			t.Errorf("%s was posted: %v, want an error of the kind not_sent", what, err)
			continue
		}
		s.wantNoSecret(t, err)
		if err := p.Settle(call(t), "forged"); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	b.wantPosts(t, 0)
}
