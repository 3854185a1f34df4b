package providertest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// renewing is a provider whose access token renews itself, of a broker that answers a
// dead one with a bare 401. Its fields are mistakes.
type renewing struct {
	sdk.NoRefresh
	http     oauth.Client
	describe func(*sdk.Description)
	speak    func(*oauth.Endpoint)
	answer   func(sdk.Token, sdk.RenewRequest, error) (sdk.Token, error)
	tries    int
	one      *sync.Mutex
}

func (p *renewing) Describe(context.Context) (sdk.Description, error) {
	d := sdk.Description{Name: "renewing", Version: "0", Policy: sdk.Policy{
		AccessLifetime: 90 * time.Minute, OldAccessDies: true, BeforeExpiry: 15 * time.Minute, PKCE: sdk.PKCENone,
	}}
	if p.describe != nil {
		p.describe(&d)
	}
	return d, nil
}

func (p *renewing) Renew(ctx context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	if p.one != nil {
		p.one.Lock()
		defer p.one.Unlock()
	}
	e := oauth.Endpoint{
		TokenURL: req.Account.Settings["token_url"], AuthStyle: oauth.AuthNone,
		Errors: oauth.Errors{Statuses: map[int]sdk.Kind{401: sdk.KindInvalidGrant}},
	}
	if p.speak != nil {
		p.speak(&e)
	}
	t, err := p.http.Renew(ctx, e, req)
	for range p.tries {
		if err != nil {
			t, err = p.http.Renew(context.Background(), e, req) // past the spool, which would answer
		}
	}
	if p.answer != nil {
		return p.answer(t, req, err)
	}
	return t, err
}

func renewingSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Broker.InvalidGrant = func() (int, string) { return 401, "" }
	return s
}

// daily is a provider whose tokens come from a login alone.
type daily struct {
	sdk.NoRefresh
	http     oauth.Client
	describe func(*sdk.Description)
	tries    int
}

func (p *daily) Describe(context.Context) (sdk.Description, error) {
	d := sdk.Description{Name: "daily", Version: "0", Policy: sdk.Policy{
		AccessLifetime: 24 * time.Hour, PKCE: sdk.PKCENone,
		Access: sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}, Certain: true},
	}}
	if p.describe != nil {
		p.describe(&d)
	}
	return d, nil
}

func (*daily) endpoint(a sdk.Account) oauth.Endpoint {
	return oauth.Endpoint{AuthorizeURL: "https://daily.example/login", TokenURL: a.Settings["token_url"], AuthStyle: oauth.AuthInParams}
}

func (p *daily) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return p.endpoint(req.Account).AuthCodeURL(req)
}

func (p *daily) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	t, err := p.http.Exchange(ctx, p.endpoint(req.Account), req)
	for range p.tries {
		if err != nil {
			t, err = p.http.Exchange(context.Background(), p.endpoint(req.Account), req)
		}
	}
	return t, err
}

func dailySuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.RedirectURL = "https://127.0.0.1"
	return s
}

// brought is a provider that can nothing: its tokens are imported.
type brought struct{ sdk.NoRefresh }

func (brought) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "brought", Version: "0", Policy: sdk.Policy{AccessLifetime: time.Hour, PKCE: sdk.PKCENone}}, nil
}

// keeping is a provider of a broker that leaves the refresh token as it is, worded so
// that its answers may have none.
func keeping(rotates bool) described {
	return described{&worded{change: func(*oauth.Endpoint) {}}, func(d *sdk.Description) { d.Policy.Rotates = rotates }}
}

func keepingSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.RedirectURL = "https://127.0.0.1"
	s.Broker.KeepsRefreshToken = true
	return s
}

// inventive calls the access token a refresh token, too.
type inventive struct{ described }

func (p inventive) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	t, err := p.described.Refresh(ctx, req)
	if t.RefreshToken.IsZero() {
		t.RefreshToken = t.AccessToken
	}
	return t, err
}

// forgetful renews and does not say that it can't refresh.
type forgetful struct{ *worded }

func (forgetful) Refresh(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
	return sdk.Token{}, sdk.ErrUnimplemented
}

// Providers of each kind pass. Of the rules that need processes of their own, which
// know no kinds, one is enough.
func TestKinds(t *testing.T) {
	right := map[string]struct {
		suite providertest.Suite
		rules int // that are held, at least
	}{
		"renews":           {renewingSuite(&renewing{}), 12},
		"logs in daily":    {dailySuite(&daily{}), 11},
		"is brought":       {suite(brought{}), 1},
		"keeps its token":  {keepingSuite(keeping(false)), 12},
		"mints":            {mintingSuite(&minting{}), 12},
		"mints beside":     {refreshesAndMintsSuite(&minting{}), 25},
		"guides":           {guidingSuite(guide()), 50},
		"is posted a code": {posted(codeIn), 50},
		"guides alone":     {suite(deviceOnly{guide: guide()}), 14},
		"is kept alive":    {beatingSuite(&beating{}), 14},
	}
	if name := os.Getenv("KIND"); name != "" {
		providertest.Run(t, right[name].suite)
		return
	}
	t.Parallel()
	for name, tt := range right {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestKinds$/^(Describe|Refresh|Renew|Rotation|"+
				"NoRefreshTokenIsThrownAway|Wording|OnePostPerAttempt|SameAttemptAgain|Recovery|Killed|DeathWithOpenRequest|UnsettledBlocks|"+
				"SpoolIsNamed|NothingListens|Concurrent|Login|LentLock|Mint.*|EndLogin_.*|Pending|BeginLogin|KeepAlive|Also.*)$")
			cmd.Env = append(os.Environ(), "KIND="+name)
			out, err := cmd.CombinedOutput()
			if n := passed(out); err != nil || n < tt.rules {
				t.Errorf("%d rules: %v\n%s", n, err, out)
			}
		})
	}
}

// passed counts the rules that were held, those of a further way, too.
func passed(out []byte) int { return len(regexp.MustCompile(`\n +--- PASS: `).FindAll(out, -1)) }

// Each rule of a kind finds the provider that breaks it.
func TestBrokenKindsAreFound(t *testing.T) {
	rotates := func(d *sdk.Description) { d.Policy.Rotates = true }
	broken := map[string]brokenSuite{
		"forgets that it rotates":      {keepingSuite(keeping(false)), "Rotation"},
		"says that it rotates":         {keepingSuite(keeping(true)), "Rotation"},
		"invents a refresh token":      {keepingSuite(inventive{keeping(false)}), "Rotation"},
		"says not that it can't":       {suite(forgetful{&worded{change: func(*oauth.Endpoint) {}}}), "Refresh"},
		"rotates what it has not":      {renewingSuite(&renewing{describe: rotates}), "Describe"},
		"renews never in time":         {renewingSuite(&renewing{describe: func(d *sdk.Description) { d.Policy.BeforeExpiry = 0 }}), "Describe"},
		"kills what nothing renews":    {dailySuite(&daily{describe: func(d *sdk.Description) { d.Policy.OldAccessDies = true }}), "Describe"},
		"has a refresh token for days": {dailySuite(&daily{describe: func(d *sdk.Description) { d.Policy.RefreshLifetime = time.Hour }}), "Describe"},
		"renews another token": {renewingSuite(&renewing{speak: func(e *oauth.Endpoint) {
			e.Requests.Header = map[string]string{"Authorization": "Bearer of-yesterday"}
		}}), "Renew"},
		"gives the old one back": {renewingSuite(&renewing{answer: func(t sdk.Token, req sdk.RenewRequest, err error) (sdk.Token, error) {
			t.AccessToken = req.Token.AccessToken
			return t, err
		}}), "Renew"},
		"makes a refresh token of it": {renewingSuite(&renewing{answer: func(t sdk.Token, _ sdk.RenewRequest, err error) (sdk.Token, error) {
			t.RefreshToken = t.AccessToken
			return t, err
		}}), "Renew"},
		"kills it, and leaves it alive": {renewingSuite(&renewing{describe: func(d *sdk.Description) {
			d.Policy.OldAccessDies, d.Policy.OldAccessLives = true, true
		}}), "Describe"},
		"renews again": {renewingSuite(&renewing{tries: 1}), "OnePostPerAttempt/HTML500"},
		"believes any 401": {renewingSuite(&renewing{answer: func(t sdk.Token, _ sdk.RenewRequest, err error) (sdk.Token, error) {
			if e := (*sdk.Error)(nil); errors.As(err, &e) && e.HTTPStatus == 401 {
				return t, sdk.ErrInvalidGrant
			}
			return t, err
		}}), "OnePostPerAttempt/HTML401"},
		"does not know that it is dead": {renewingSuite(&renewing{speak: func(e *oauth.Endpoint) { e.Errors = oauth.Errors{} }}), "OnePostPerAttempt/InvalidGrant"},
		"calls a lost renewal harmless": {renewingSuite(&renewing{answer: func(t sdk.Token, _ sdk.RenewRequest, err error) (sdk.Token, error) {
			if err != nil {
				return t, &sdk.Error{Kind: sdk.KindTransient, Message: "no answer"}
			}
			return t, nil
		}}), "OnePostPerAttempt/LostAnswer"},
		"renews one at a time": {renewingSuite(&renewing{one: &sync.Mutex{}}), "Concurrent"},
		"logs in again":        {dailySuite(&daily{tries: 1}), "OnePostPerAttempt/HTML500"},
	}
	wrong := broken["forgets that it rotates"]
	wrong.suite.Broker.KeepsRefreshToken = false
	broken["forgets that it rotates"] = wrong
	eachIsFound(t, broken, false)
}
