package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// mint is a broker that mints tokens from a key, and its provider. It keeps no refresh
// tokens.
type mint struct {
	sdk.NoRefresh
	minter
}

func (b *mint) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Version: "1", Repeat: b.repeat, Policy: sdk.Policy{
		AccessLifetime: b.lifetime, BeforeExpiry: b.lifetime / 4,
	}}, nil
}

// minter is the part of a broker that mints.
type minter struct {
	lifetime time.Duration
	repeat   sdk.Repeat

	mu     sync.Mutex
	key    string // that it accepts
	lives  map[string]time.Time
	minted []time.Time // when each was
	issued int
	sent   int
	faults []func(slot *spool.Slot) error // of the next requests, by turn; of a nil one nothing is amiss
}

func newMinter(lifetime time.Duration, repeat sdk.Repeat) minter {
	return minter{lifetime: lifetime, repeat: repeat, key: "the-key", lives: map[string]time.Time{}}
}

// next says what becomes of the answers to the next requests.
func (b *minter) next(fs ...func(*spool.Slot) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fs...)
}

func (b *minter) takes(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.key = key
}

func (b *minter) accepts(t sdk.Secret) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.lives[t.Reveal()])
}

// requests are how many came.
func (b *minter) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

func (b *minter) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	slot, _ := spool.FromContext(ctx)
	if err := errors.Join(slot.Advance(spool.Ready), slot.Advance(spool.Sent)); err != nil {
		return sdk.Token{}, sdk.ErrNotSent
	}
	b.mu.Lock()
	b.sent++
	var fault func(*spool.Slot) error
	if len(b.faults) > 0 {
		fault, b.faults = b.faults[0], b.faults[1:]
	}
	if req.Account.ClientSecret.Reveal() != b.key {
		b.mu.Unlock()
		return sdk.Token{}, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "the key is not known", HTTPStatus: 401}
	}
	if b.repeat != sdk.RepeatHarmless {
		clear(b.lives)
	}
	b.issued++
	b.minted = append(b.minted, time.Now())
	token := fmt.Sprintf("minted-%d", b.issued)
	b.lives[token] = time.Now().Add(b.lifetime)
	b.mu.Unlock()
	if fault != nil {
		if err := fault(slot); err != nil {
			return sdk.Token{}, err
		}
	}
	return sdk.Token{AccessToken: sdk.NewSecret(token), IssuedAt: time.Now(), Lifetime: b.lifetime}, nil
}

// newMintRig is a rig at such a broker, with an account that has a key and nothing
// else.
func newMintRig(t *testing.T, provider sdk.Provider, lifetime time.Duration) *rig {
	r := newRig(t, lifetime)
	r.provider = provider
	r.keyed("the-key")
	return r
}

// keyed restarts with that key in the configuration.
func (r *rig) keyed(key string) {
	r.accounts = []refresh.Account{{
		Account: sdk.Account{Name: "main", ClientID: "me", ClientSecret: sdk.NewSecret(key), Settings: map[string]string{"pin": "1234"}},
		Timeout: 30 * time.Second, MaxFailures: 5,
	}}
	r.restart()
}

// works fails the test unless consumers hold a token that works, and nobody is needed.
func (r *rig) works(b *minter, when string) {
	r.t.Helper()
	synctest.Wait() // a token may just be being made in the place of that one
	if s := r.status("main"); s.State != refresh.Valid || !b.accepts(s.Record.Token.AccessToken) {
		r.t.Errorf("%s: %s, version %d, %+v", when, s.State, s.Record.Version, s.Record.Health)
	}
}
