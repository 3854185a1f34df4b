package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how an account gets a token from its key, without a person and
// without a token: where its provider knows no other way, or nothing follows any more
// from the token that it has. A mint takes the way of every attempt, announced and
// spooled, also where a second one would do no harm: one way is easier to get right
// than two, and it costs a commit.

// getsKey tells the account whether there is a key to mint from, once its provider is
// known. The caller holds k.mu.
func (a *leased) getsKey() {
	a.step(acct.Keyed{Key: a.keeper.nature().keyOf(a.cfg)})
}

// begins is the attempt that the account is about to announce: its kind, and the
// fingerprint of what it sends.
func (a *round) begins() (kind, fingerprint string, err error) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if err := a.mayBegin(); err != nil {
		return "", "", err
	}
	kind = a.outlook().kind()
	if in := a.state().Ambiguous(); in != nil {
		kind = in.Kind // though it may be given up by now
	}
	switch kind {
	case "":
		a.replan()
		return "", "", fmt.Errorf("account %s: %w", a.cfg.Name, ErrNoToken)
	case spool.KindMint:
		return kind, a.rec().Key, nil
	}
	return kind, a.rec().Spends().Fingerprint(), nil
}

// minted is an attempt that mints a token, or after which one is minted.
type minted struct{ attempt }

// complete says of a record that was minted what its answer does not.
func (a minted) complete(rec *store.Record, t sdk.Token) {
	if t.RefreshToken.IsZero() && rec.Way == store.WayRefresh {
		rec.Way = store.WayMint // the refresh token of the grant before is not this one's
	}
	if rec.Way != store.WayMint {
		rec.LoginAt, rec.LoginUncertain = t.IssuedAt, false // from which its end counts
	}
}

// refused handles the refusal of a mint: what was presented is not presented again
// by itself. Whatever token stands, stands as before.
func (a minted) refused(ctx context.Context, cause error) error {
	a.tell(acct.Denied{Fingerprint: a.in.Fingerprint})
	rec, said := a.rec(), a.say.bare(cause.Error()) // without the advice to log in
	h := &rec.Health
	h.Failures++
	h.LastError, h.LastKind, h.LastFailure, h.Ambiguous = said, sdk.KindInvalidGrant, a.keeper.clock.Now().Wall, time.Time{}
	if err := a.storeEnd(ctx, a.in.Attempt, rec.Basis(), rec.Health); err != nil {
		return a.diskTrouble(fmt.Errorf("note that the server refused the key: %w", err))
	}
	a.keeper.mu.Lock()
	a.step(acct.Judged{Record: rec})
	a.replan()
	a.keeper.mu.Unlock()
	e := event.Event{
		Type: event.NeedsLogin, Kind: string(sdk.KindInvalidGrant), Attempt: a.in.Attempt, Expiry: rec.Token.Expiry(),
		Failures: h.Failures, Max: a.cfg.MaxFailures,
		Message: fmt.Sprintf("%s (%s); %s", mintFailed, said, advice.MendKey(a.cfg.Name)),
	}
	level := slog.LevelError
	if !rec.NeedsLogin() { // another key is configured by now, or the token that stands goes on
		level, e.Type, e.Message = slog.LevelWarn, event.RefreshFailed, fmt.Sprintf("%s (%s)", mintFailed, said)
	}
	a.Publish(level, e)
	a.free(ctx, a.in.Attempt)
	return advice.Worded(fmt.Sprintf("account %s: %s", a.cfg.Name, e.Message), cause)
}

// locksOut says whether the broker locks an account out that presents a wrong key too
// often, and nobody knows how often that is: then one that it does not know is presented
// once. Elsewhere that is tried again, slowly, as it may be the broker that is mistaken.
func (a minted) locksOut() bool {
	n := a.keeper.nature()
	return n.repeat == sdk.RepeatLimited && n.limits.FailedLoginsPerHour == 0
}

// errMints: what was sent is dead, and the next token is minted.
var errMints = advice.Worded("the token that was sent is dead; the next one is minted", errWentBack)

// next ends the refusal of a token at an account that has a key: nobody is
// needed, and who waits for a refresh waits for the mint.
func (a minted) next(ctx context.Context, rec store.Record, said string) error {
	a.Publish(slog.LevelWarn, event.Event{
		Type: event.RefreshFailed, Kind: string(sdk.KindInvalidGrant), Attempt: a.in.Attempt, Expiry: rec.Token.Expiry(),
		Failures: rec.Health.Failures, Max: a.cfg.MaxFailures,
		Message: fmt.Sprintf("the server refused the %s (%s); the next token is minted from the account's key", spent(a.in.Kind), a.say.bare(said)),
	})
	a.free(ctx, a.in.Attempt)
	return errMints
}

// load is the store's record of the account, by what is known of its provider now: the
// store has it as it was when it came.
func (a *leased) load(ctx context.Context) (store.Record, error) {
	rec, err := a.keeper.cfg.Store.Load(ctx, a.cfg.Name)
	if err != nil {
		return rec, err
	}
	if n := a.keeper.nature(); n.met && n.wayNow(rec) != rec.Way {
		rec.Way = n.wayNow(rec)
		correctEnds(&rec, n.policy)
	}
	return rec, nil
}

// loadOrNone is load; of version 0 if there is no record.
func (a *round) loadOrNone(ctx context.Context) (store.Record, error) {
	rec, err := a.load(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return store.Record{Account: a.cfg.Name}, nil
	}
	return rec, err
}

// mintsNow says whether the account's next attempt is a mint.
func (a *round) mintsNow() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return a.outlook().kind() == spool.KindMint
}
