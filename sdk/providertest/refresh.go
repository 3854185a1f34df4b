package providertest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// call bounds every call of the suite.
func call(t *testing.T) context.Context {
	ctx, cancel := waittest.Context(t.Context(), 20)
	t.Cleanup(cancel)
	return ctx
}

func testDescribe(t *testing.T, s trial) {
	if s.New != nil {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.New().Describe(cancelled); err != nil {
			t.Errorf("Describe must touch nothing that a cancelled context stops, such as the network: %v", err)
		}
	}
	d, err := s.fresh(t).Describe(call(t))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if !sdk.ValidName(d.Name) {
		t.Errorf("Name %q is not of the form [a-z0-9][a-z0-9_-]*", d.Name)
	}
	if d.Version == "" {
		t.Error("Version is empty")
	}
	p := d.Policy
	if p.AccessLifetime <= 0 {
		t.Error("Policy.AccessLifetime is not set: nothing stands in for a missing expires_in")
	}
	if goesOn := !d.NoRefresh || d.Renewer || d.Minter; goesOn && p.BeforeExpiry <= 0 || p.BeforeExpiry < 0 || p.BeforeExpiry >= p.AccessLifetime {
		t.Errorf("Policy.BeforeExpiry %s is not between 0 and AccessLifetime %s", p.BeforeExpiry, p.AccessLifetime)
	}
	if p.RefreshLifetime < 0 || p.ReuseGrace < 0 {
		t.Error("the policy has a negative duration")
	}
	if p.ReuseGrace > 0 && !p.Rotates {
		t.Error("Policy.ReuseGrace forgives the second use of a refresh token that, without Policy.Rotates, is never spent")
	}
	if p.RefreshLifetime > 0 && p.ReuseGrace > p.RefreshLifetime {
		t.Error("Policy.ReuseGrace is longer than Policy.RefreshLifetime: a dead refresh token is forgiven nothing")
	}
	if !slices.Contains([]sdk.PKCE{sdk.PKCENone, sdk.PKCEOptional, sdk.PKCERequired}, p.PKCE) {
		t.Errorf("Policy.PKCE is %q", p.PKCE)
	}
	describesKinds(t, d)
	seen, servers := map[string]bool{}, map[string]string{}
	for _, s := range d.Settings {
		if s.Server || s.Name == "environment" {
			servers[s.Name] = "named"
		}
	}
	for _, setting := range d.Settings {
		if setting.Name == "" || setting.Description == "" || seen[setting.Name] {
			t.Errorf("setting %q has no name, no description or a namesake", setting.Name)
		}
		seen[setting.Name] = true
		if setting.Default != "" && len(setting.OneOf) > 0 && !slices.Contains(setting.OneOf, setting.Default) {
			t.Errorf("setting %s: its default %q is not among %v", setting.Name, setting.Default, setting.OneOf)
		}
		if setting.Default != "" && setting.Required {
			t.Errorf("setting %s is required and has a default", setting.Name)
		}
		if setting.Secret && (setting.Default != "" || len(setting.OneOf) > 0) {
			t.Errorf("setting %s is a secret, and its description shows values of it", setting.Name)
		}
		if setting.Secret && setting.Server {
			t.Errorf("setting %s is a secret, and says where refresh tokens are sent, which is shown", setting.Name)
		}
		if left := setting.DefaultFor(servers, d.Settings); setting.Server && strings.ContainsAny(left, "{}") {
			t.Errorf("setting %s: of its default %q is left: nothing else that says where refresh tokens are sent is called so", setting.Name, left)
		}
	}
}

// testNext: one request, with what is to be spent, and what the broker answers.
func testNext(t *testing.T, s trial) {
	if s.way == logsIn {
		t.Skip("its tokens come from a login alone: see Login")
	}
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	before := time.Now()
	req := s.request("one", b)
	a, err := s.answer(call(t), s.fresh(t).Remote, req)
	if errors.Is(err, sdk.ErrUnimplemented) {
		t.Fatal("Refresh is not implemented, and the description does not say so: embed sdk.NoRefresh in the provider")
	} else if err != nil {
		t.Fatalf("%s: %v", s.name(), err)
	}
	if a.Recovered || a.SpoolFault != "" {
		t.Errorf("a first answer: recovered %t, spool fault %q", a.Recovered, a.SpoolFault)
	}
	s.wantToken(t, a.Token, s.access(newAccess), newRefresh)
	if a.Token.IssuedAt.Before(before.Add(-time.Second)) || a.Token.IssuedAt.After(time.Now().Add(time.Second)) {
		t.Errorf("IssuedAt is %s, not when the answer came", a.Token.IssuedAt)
	}
	if carried := b.carried(s.spent(req)); !slices.Equal(carried, []bool{true}) {
		t.Errorf("%d token requests; want one, and with the token that is to be spent", len(carried))
	}
	if posts := b.posts(); s.way == refreshes && len(posts) == 1 && (posts[0].Get("grant_type") != "refresh_token" || posts[0].Get("refresh_token") != oldRefresh) {
		t.Error("the request is no refresh (RFC 6749, section 6)")
	}
}

func testNoRefreshToken(t *testing.T, s trial) {
	if s.way != refreshes {
		t.Skip("no answer carries one")
	}
	b := s.newBroker(t, s.grant(s.access(newAccess), ""))
	token, err := s.next(call(t), s.fresh(t).Remote, s.request("one", b))
	if err != nil {
		t.Fatalf("an answer without a refresh token is a good one (RFC 6749, section 6): %v", err)
	}
	if !token.RefreshToken.IsZero() {
		t.Error("RefreshToken is set although the answer carried none")
	}
}

// testFailures: whatever the server does, it sees one request, the error is of
// a kind that loses no login, and its text tells no secret.
func testFailures(t *testing.T, s trial) {
	status, body := s.words.InvalidGrant()
	clientStatus, client := s.words.InvalidClient()
	html := "<html><body>invalid_grant " + bodyText + "</body></html>"
	dead, refused := []sdk.Kind{sdk.KindInvalidGrant}, []sdk.Kind{sdk.KindInvalidClient}
	if s.way == mints { // whose key is both
		dead = append(dead, refused...)
		refused = dead
	}
	unhurt := []sdk.Kind{sdk.KindTransient}
	limited := []sdk.Kind{sdk.KindTransient, sdk.KindRateLimited}
	unknown := []sdk.Kind{sdk.KindAmbiguous}
	elsewhere := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	type rule struct {
		name   string
		answer http.HandlerFunc
		kinds  []sdk.Kind
	}
	tests := []rule{
		{"InvalidGrant", respond(status, "application/json", body), dead},
		{"InvalidClient", respond(clientStatus, "application/json", client), refused},
		{"HTML400", respond(400, "text/html", html), unhurt},
		{"HTML401", respond(401, "text/html", html), unhurt},
		{"HTML403", respond(403, "text/html", html), unhurt},
		{"HTML500", respond(500, "text/html", html), unhurt},
		{"JSON500", respond(500, "application/json", `{"error":"server_error","refresh_token":"`+oldRefresh+`"}`), unhurt},
		{"Unavailable", respond(503, "text/html", html, "Retry-After", "30"), limited},
		{"TooManyRequests", respond(429, "application/json", `{}`, "Retry-After", "30"), limited},
		{"Redirect302", respond(302, "text/html", html, "Location", elsewhere.url()), unhurt},
		{"Redirect307", respond(307, "text/html", html, "Location", elsewhere.url()), unhurt},
		{"Redirect308", respond(308, "text/html", html, "Location", elsewhere.url()), unhurt},
		{"EchoedSecrets", respond(400, "application/json", s.echo(s.spent(s.request("", elsewhere)))), unhurt},
		{"LostAnswer", hangUp, unknown},
		{"CutAnswer", s.cutAnswer, unknown},
		{"GarbageWith200", respond(200, "text/html", html), unknown},
		{"EmptyWith200", respond(200, "application/json", ""), unknown},
	}
	if status != 401 || body != "" { // which is how many refuse an access token
		tests = append(tests, rule{"Empty401", respond(401, "application/json", ""), unhurt})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := s.newBroker(t, tt.answer)
			_, err := s.next(call(t), s.fresh(t).Remote, s.request("one", b))
			if err == nil {
				t.Fatal("no error")
			}
			if kind := sdk.KindOf(err); !slices.Contains(tt.kinds, kind) {
				t.Errorf("the error is of the kind %s, want %v: %v", kind, tt.kinds, err)
			}
			if kind := sdk.KindOf(err); kind == sdk.KindInvalidGrant && !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Error("the error does not match sdk.ErrInvalidGrant")
			}
			s.wantNoSecret(t, err)
			b.wantPosts(t, 1)
		})
	}
	elsewhere.wantPosts(t, 0)
}

func testNothingListens(t *testing.T, s trial) {
	req := s.request("one", s.newBroker(t, hangUp))
	s.PointTo(&req.Account, "http://"+deafAddress(t)+"/token")
	_, err := s.next(call(t), s.fresh(t).Remote, req)
	if err == nil {
		t.Fatal("no error although nothing listens")
	}
	if kind := sdk.KindOf(err); kind != sdk.KindNotSent && kind != sdk.KindTransient {
		t.Errorf("the error is of the kind %s, want not_sent or transient: %v", kind, err)
	}
	s.wantNoSecret(t, err)
}
