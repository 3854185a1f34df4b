package providertest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

const mintKey = "a-key-of-the-account"

// minting is a provider that mints from a key, which goes with each request. Its
// fields are mistakes.
type minting struct {
	sdk.NoRefresh
	http     oauth.Client
	describe func(*sdk.Description)
	speak    func(*oauth.Endpoint)
	before   func(context.Context, sdk.MintRequest) error
	answer   func(sdk.Token, sdk.MintRequest, error) (sdk.Token, error)
	tries    int
	one      *sync.Mutex
}

func (p *minting) Describe(context.Context) (sdk.Description, error) {
	d := sdk.Description{
		Name: "minting", Version: "0", Repeat: sdk.RepeatHarmless,
		Policy:   sdk.Policy{AccessLifetime: time.Hour, BeforeExpiry: 10 * time.Minute, PKCE: sdk.PKCENone},
		Settings: []sdk.Setting{{Name: "token_url", Description: "Where tokens are minted."}, {Name: "key", Description: "The key.", Secret: true}},
	}
	if p.describe != nil {
		p.describe(&d)
	}
	return d, nil
}

func (p *minting) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	if p.one != nil {
		p.one.Lock()
		defer p.one.Unlock()
	}
	if p.before != nil {
		if err := p.before(ctx, req); err != nil {
			return sdk.Token{}, err
		}
	}
	e := oauth.Endpoint{TokenURL: req.Account.Settings["token_url"], AuthStyle: oauth.AuthInParams}
	e.Requests.Header = map[string]string{"X-Key": req.Account.Settings["key"]}
	if p.speak != nil {
		p.speak(&e)
	}
	t, err := p.http.Mint(ctx, e, req)
	for range p.tries {
		if err != nil {
			t, err = p.http.Mint(context.Background(), e, req) // past the spool, which would answer
		}
	}
	if p.answer != nil {
		return p.answer(t, req, err)
	}
	return t, err
}

func mintingSuite(p sdk.Provider) providertest.Suite {
	s := suite(p)
	s.Account.Settings = map[string]string{"key": mintKey}
	s.Broker.Header = map[string]string{"X-Key": mintKey}
	return s
}

// refreshesAndMints has two ways to a token.
type refreshesAndMints struct {
	*worded
	minting *minting
}

func (p refreshesAndMints) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	return p.minting.Mint(ctx, req)
}

func refreshesAndMintsSuite(m *minting) providertest.Suite {
	s := mintingSuite(refreshesAndMints{&worded{change: func(*oauth.Endpoint) {}}, m})
	s.MintBroker = &providertest.Broker{Header: s.Broker.Header}
	s.Broker.Header = nil
	s.Account.RedirectURL = "https://127.0.0.1"
	return s
}

// Each rule of a minter finds the one that breaks it.
func TestBrokenMintersAreFound(t *testing.T) {
	described := func(change func(*sdk.Description)) providertest.Suite {
		return mintingSuite(&minting{describe: change})
	}
	answers := func(answer func(sdk.Token, sdk.MintRequest, error) (sdk.Token, error)) providertest.Suite {
		return mintingSuite(&minting{answer: answer})
	}
	var made sync.Map // in this process
	eachIsFound(t, map[string]brokenSuite{
		"a repeat of its own": {described(func(d *sdk.Description) { d.Repeat = "often" }), "Describe"},
		"mints never in time": {described(func(d *sdk.Description) { d.Policy.BeforeExpiry = 0 }), "Describe"},
		"asks twice": {mintingSuite(&minting{before: func(ctx context.Context, req sdk.MintRequest) error {
			resp, err := http.Post(req.Account.Settings["token_url"], "application/x-www-form-urlencoded", nil)
			if err == nil {
				_ = resp.Body.Close()
			}
			return nil
		}}), "Mint"},
		"mints again": {mintingSuite(&minting{tries: 1}), "OnePostPerAttempt/HTML500"},
		"wants a token": {mintingSuite(&minting{before: func(_ context.Context, req sdk.MintRequest) error {
			if req.Token.AccessToken.IsZero() {
				return &sdk.Error{Kind: sdk.KindNotSent, Message: "no token"}
			}
			return nil
		}}), "MintNeedsNoToken"},
		"a token as old as its reading": {answers(func(t sdk.Token, _ sdk.MintRequest, err error) (sdk.Token, error) {
			t.IssuedAt = time.Now()
			return t, err
		}), "Recovery"},
		"knows what it made by heart": {mintingSuite(&minting{before: func(ctx context.Context, req sdk.MintRequest) error {
			slot, _ := spool.FromContext(ctx)
			if _, answered := slot.Answer(); answered {
				if _, mine := made.Load(req.Attempt.ID); !mine {
					return sdk.ErrAmbiguous
				}
			}
			made.Store(req.Attempt.ID, true)
			return nil
		}}), "Killed"},
		"is refused for a while": {answers(func(t sdk.Token, _ sdk.MintRequest, err error) (sdk.Token, error) {
			if k := sdk.KindOf(err); err != nil && k != sdk.KindAmbiguous && k != sdk.KindNotSent {
				return t, errors.New("refused")
			}
			return t, err
		}), "OnePostPerAttempt/InvalidGrant"},
		"calls a lost answer harmless": {answers(func(t sdk.Token, _ sdk.MintRequest, err error) (sdk.Token, error) {
			if sdk.KindOf(err) == sdk.KindAmbiguous {
				return t, &sdk.Error{Kind: sdk.KindTransient, Message: "no answer"}
			}
			return t, err
		}), "OnePostPerAttempt/LostAnswer"},
		"tells the key": {answers(func(t sdk.Token, req sdk.MintRequest, err error) (sdk.Token, error) {
			if e := (*sdk.Error)(nil); errors.As(err, &e) {
				e.Message += " with " + req.Account.Settings["key"]
			}
			return t, err
		}), "OnePostPerAttempt/InvalidGrant"},
		"forgets the key":              {mintingSuite(&minting{speak: func(e *oauth.Endpoint) { e.Requests.Header = nil }}), "Wording"},
		"mints one at a time":          {mintingSuite(&minting{one: &sync.Mutex{}}), "Concurrent"},
		"mints again beside refreshes": {refreshesAndMintsSuite(&minting{tries: 1}), "AlsoMint/OnePostPerAttempt/HTML500"},
	}, false)
}
