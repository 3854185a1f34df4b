package providertest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// worded is a provider that describes its broker to package oauth. change is the
// description, or a mistake in it.
type worded struct {
	http   oauth.Client
	change func(*oauth.Endpoint)
}

func (*worded) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "worded", Version: "0",
		Policy: sdk.Policy{AccessLifetime: 20 * time.Minute, BeforeExpiry: time.Minute, Rotates: true, PKCE: sdk.PKCENone},
	}, nil
}

func (p *worded) endpoint(a sdk.Account) oauth.Endpoint {
	e := oauth.Endpoint{
		AuthorizeURL: "https://worded.example/authorize", TokenURL: a.Settings["token_url"],
		AuthStyle: oauth.AuthInParams, DefaultLifetime: 20 * time.Minute,
	}
	p.change(&e)
	return e
}

func (p *worded) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.http.Refresh(ctx, p.endpoint(req.Account), req)
}

func (p *worded) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return p.endpoint(req.Account).AuthCodeURL(req)
}

func (p *worded) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	return p.http.Exchange(ctx, p.endpoint(req.Account), req)
}

func (*worded) MarksSends() {}

// inAddresses is a broker such as cTrader: GET, names and errors of its own.
func inAddresses(e *oauth.Endpoint) {
	e.Requests.Encoding = oauth.EncodingQuery
	e.Requests.Header = map[string]string{"X-Version": "3"}
	e.Answers.Names = map[string][]string{"access_token": {"accessToken"}, "refresh_token": {"refreshToken"}, "expires_in": {"expiresIn"}}
	e.Errors = oauth.Errors{Code: "errorCode", Kinds: map[string]sdk.Kind{"DENIED": sdk.KindInvalidGrant, "CLIENT": sdk.KindInvalidClient}}
}

func inAddressesSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	answer := func(access, refresh, code string) string {
		return fmt.Sprintf(`{"accessToken":%q,"expiresIn":%d,"refreshToken":%q,"errorCode":%s}`, access, providertest.Lifetime/time.Second, refresh, code)
	}
	s.Account.RedirectURL = "https://127.0.0.1"
	s.Broker = providertest.Broker{
		Get: true, Header: map[string]string{"X-Version": "3"},
		Success:       func(access, refresh string) (int, string) { return 200, answer(access, refresh, "null") },
		Failure:       func(access, refresh string) (int, string) { return 200, answer(access, refresh, `"DENIED"`) },
		InvalidGrant:  func() (int, string) { return 200, answer("", "", `"DENIED"`) },
		InvalidClient: func() (int, string) { return 200, answer("", "", `"CLIENT"`) },
	}
	return s
}

// signer is the same key in each of the test's processes.
var signer = func() *ecdsa.PrivateKey {
	d := sha256.Sum256([]byte("a key for tests"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	return key
}()

// withAssertion is a broker that wants an assertion and a resource, and leaves the
// expiry to the JWT.
func withAssertion(e *oauth.Endpoint) {
	e.Requests.Assertion = &oauth.Assertion{Key: signer, Audience: "/token"}
	e.Requests.Resource = []string{"https://api.worded.example/mcp"}
	e.Answers.JWT = true
}

func withAssertionSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.RedirectURL = "https://127.0.0.1"
	s.Broker = providertest.Broker{
		JWT: true, AssertionKey: &signer.PublicKey, Audience: "/token", Resource: []string{"https://api.worded.example/mcp"},
		Success: func(access, refresh string) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer"}`, access, refresh)
		},
	}
	return s
}

// asJSON is a broker such as TradeLocker: JSON, parameters of its own, a moment.
func asJSON(e *oauth.Endpoint) {
	e.Requests.Encoding, e.Answers.ExpiresAt = oauth.EncodingJSON, "expireDate"
	e.EditForm = func(form url.Values) {
		if form.Has("refresh_token") {
			form.Set("refreshToken", form.Get("refresh_token"))
			form.Del("refresh_token")
		}
		form.Del("grant_type")
	}
}

func asJSONSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.RedirectURL = "https://127.0.0.1"
	s.Broker = providertest.Broker{
		JSON: true, Moments: true, Parameters: map[string]string{"refresh_token": "refreshToken", "grant_type": ""},
		Success: func(access, refresh string) (int, string) {
			return 201, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"expireDate":%q}`, access, refresh, time.Now().Add(providertest.Lifetime).Format(time.RFC3339Nano))
		},
	}
	return s
}

// Providers that describe brokers of their own pass the suite; the rules of processes
// and locks, which know no words, are left to TestPlainProvider.
func TestWordedProviders(t *testing.T) {
	right := map[string]providertest.Suite{
		"in addresses":      inAddressesSuite(&worded{change: inAddresses}),
		"with an assertion": withAssertionSuite(&worded{change: withAssertion}),
		"as JSON":           asJSONSuite(&worded{change: asJSON}),
	}
	if name := os.Getenv("WORDED_PROVIDER"); name != "" {
		providertest.Run(t, right[name])
		return
	}
	t.Parallel()
	for name := range right {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestWordedProviders$/"+
				"^(Describe|Refresh|NoRefreshTokenInAnswer|NoRefreshTokenIsThrownAway|Wording|ErrorInsideSuccess|OnePostPerAttempt|Recovery|Concurrent|Login)$")
			cmd.Env = append(os.Environ(), "WORDED_PROVIDER="+name)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), "\n    --- PASS: ") < 9 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// also makes one more change to a description.
func also(first, then func(*oauth.Endpoint)) *worded {
	return &worded{change: func(e *oauth.Endpoint) { first(e); then(e) }}
}

// stored speaks GET by itself and lets everybody store the address.
type stored struct{ *worded }

func (p stored) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	query := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {req.Token.RefreshToken.Reveal()}}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, req.Account.Settings["token_url"]+"?"+query.Encode(), nil)
	if err != nil {
		return sdk.Token{}, sdk.ErrNotSent
	}
	get.Header.Set("X-Version", "3")
	resp, err := http.DefaultClient.Do(get)
	if err != nil {
		return sdk.Token{}, sdk.ErrAmbiguous
	}
	defer resp.Body.Close()
	return sdk.Token{AccessToken: sdk.NewSecret("A"), IssuedAt: time.Now(), Lifetime: time.Minute}, nil
}

// careless throws away what came beside an error.
type careless struct{ *worded }

func (p careless) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	t, err := p.worded.Refresh(ctx, req)
	if err == nil && t.AccessToken.IsZero() {
		return sdk.Token{}, sdk.ErrInvalidGrant
	}
	return t, err
}

// generous forgives what it says is never spent.
type generous struct{ *worded }

func (p generous) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.worded.Describe(ctx)
	d.Policy.Rotates, d.Policy.ReuseGrace = false, time.Hour
	return d, err
}

// tickled has sessions that are kept alive.
type tickled struct{ described }

func (tickled) KeepAlive(context.Context, sdk.KeepaliveRequest) (sdk.Life, error) {
	return sdk.Alive, nil
}

// described says something else of itself.
type described struct {
	*worded
	change func(*sdk.Description)
}

func (p described) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.worded.Describe(ctx)
	p.change(&d)
	return d, err
}

// again sends its first assertion with every request.
func again() func(*oauth.Endpoint) {
	var once sync.Once
	var first string
	return func(e *oauth.Endpoint) {
		e.EditForm = func(form url.Values) {
			once.Do(func() { first = form.Get("client_assertion") })
			form.Set("client_assertion", first)
		}
	}
}

// Each rule of a broker's words finds the provider that breaks it.
func TestBrokenWordsAreFound(t *testing.T) {
	other, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 1))
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]brokenSuite{
		"lets addresses be stored":   {inAddressesSuite(stored{&worded{change: inAddresses}}), "Wording"},
		"forgets a header":           {inAddressesSuite(also(inAddresses, func(e *oauth.Endpoint) { e.Requests.Header = nil })), "Wording"},
		"posts":                      {inAddressesSuite(also(inAddresses, func(e *oauth.Endpoint) { e.Requests.Encoding = "" })), "Wording"},
		"posts a form":               {asJSONSuite(also(asJSON, func(e *oauth.Endpoint) { e.Requests.Encoding = "" })), "Wording"},
		"does not see the error":     {inAddressesSuite(also(inAddresses, func(e *oauth.Endpoint) { e.Errors = oauth.Errors{} })), "ErrorInsideSuccess/Alone"},
		"believes what is beside":    {inAddressesSuite(also(inAddresses, func(e *oauth.Endpoint) { e.Errors = oauth.Errors{} })), "ErrorInsideSuccess/BesideAnAccessToken"},
		"throws away what is beside": {inAddressesSuite(careless{&worded{change: inAddresses}}), "ErrorInsideSuccess/BesideANewRefreshToken"},
		"forgets the resource":       {withAssertionSuite(also(withAssertion, func(e *oauth.Endpoint) { e.Requests.Resource = nil })), "Wording"},
		"uses an assertion twice":    {withAssertionSuite(also(withAssertion, again())), "Wording"},
		"signs with another key":     {withAssertionSuite(also(withAssertion, func(e *oauth.Endpoint) { e.Requests.Assertion.Key = other })), "Wording"},
		"another audience":           {withAssertionSuite(also(withAssertion, func(e *oauth.Endpoint) { e.Requests.Assertion.Audience = "x" })), "Wording"},
		"asks for a day":             {withAssertionSuite(also(withAssertion, func(e *oauth.Endpoint) { e.Requests.Assertion.Lifetime = 24 * time.Hour })), "Wording"},
		"does not read the JWT":      {withAssertionSuite(also(withAssertion, func(e *oauth.Endpoint) { e.Answers.JWT = false })), "Refresh"},
		"does not read the moment":   {asJSONSuite(also(asJSON, func(e *oauth.Endpoint) { e.Answers.ExpiresAt = "" })), "Refresh"},
		"forgives what is not spent": {inAddressesSuite(generous{&worded{change: inAddresses}}), "Describe"},
	}
	for name, change := range map[string]func(*sdk.Description){
		"a zone of nowhere":         func(d *sdk.Description) { d.Policy.Access.Clock.Zone = "Mars/Olympus" },
		"a time without a zone":     func(d *sdk.Description) { d.Policy.Grant.Clock.Hour = 6 },
		"logins that it can't":      func(d *sdk.Description) { d.Logins = []sdk.LoginShape{sdk.LoginDevice} },
		"beats that it can't":       func(d *sdk.Description) { d.KeepaliveEvery = time.Minute },
		"repeats what it can't":     func(d *sdk.Description) { d.Repeat = sdk.RepeatHarmless },
		"a limit of less than none": func(d *sdk.Description) { d.Limits.RequestsPerHour = -1 },
	} {
		wrong := broken["forgives what is not spent"]
		wrong.suite = inAddressesSuite(described{&worded{change: inAddresses}, change})
		broken[name] = wrong
	}
	often := broken["forgives what is not spent"]
	often.suite = inAddressesSuite(tickled{described{&worded{change: inAddresses}, func(d *sdk.Description) { d.KeepaliveEvery = time.Second }}})
	broken["beats too often"] = often
	eachIsFound(t, broken, false)
}
