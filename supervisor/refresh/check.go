package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// ErrExpired: the account's access token is over, by its own time.
var ErrExpired = errors.New("the access token has expired")

// checkTimeout bounds a check beside what its provider allows.
const checkTimeout = 30 * time.Second

// Checked is which version of an account's token its broker was asked about, and how long
// the answer took.
type Checked struct {
	Version uint64
	Took    time.Duration
}

// Check shows the account's access token to its broker, which is asked for something that
// changes nothing. Nothing follows from the answer: the account is neither refreshed nor
// counted as failed. An error of [sdk.KindInvalidGrant] says that the token is refused.
func (p persons) Check(ctx context.Context, name string) (Checked, error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return Checked{}, err
	}
	defer a.release()
	rec := newestOf(a.state())
	got := Checked{Version: rec.Version}
	switch {
	case rec.Version == 0:
		return got, fmt.Errorf("account %s: %w: %s", name, ErrNoToken, a.say.anew().First())
	case !rec.Token.Valid(p.clock.Now().Wall):
		over := fmt.Errorf("account %s: %w: its broker was not asked about version %d", name, ErrExpired, rec.Version)
		if _, paused := (pausable{a.account}).pause(); paused { // and so a refresh is refused
			return got, fmt.Errorf("%w; %w", over, pausable{a.account}.err())
		}
		return got, fmt.Errorf("%w; to get the next one: tokenkeeper refresh %s", over, name)
	}
	if err := a.steered(time.Now()); err != nil {
		return got, fmt.Errorf("account %s: %w", name, err)
	}
	_, remote, err := p.forLogin(ctx, name)
	if err != nil {
		return got, err
	}
	defer p.loop.countOut()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	token := rec.Token
	token.RefreshToken = sdk.Secret{} // which is not asked about
	begun := time.Now()
	err = remote.Check(ctx, sdk.CheckRequest{Account: presented{a.account}.now(), Token: token})
	got.Took = time.Since(begun)
	if errors.Is(err, sdk.ErrUnimplemented) {
		return got, fmt.Errorf("account %s: provider %s can't ask its broker whether a token works: %w", name, p.provider, err)
	}
	return got, err
}
