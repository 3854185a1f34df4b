package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// UsableToken implements [control.Backend]. A refresh is asked for once: what comes of it
// is the answer, whether it will do or not. Who asks for more than any token lives is told so
// only of an account that needs no login: asking for less would not help him there.
func (b accounts) UsableToken(ctx context.Context, req control.TokenRequest) (control.TokenAnswer, error) {
	got, err := b.Token(ctx, req.Account)
	if err != nil || req.IsMetBy(got, b.Wall()) {
		return got, err
	}
	k, err := b.keeperOf(req.Account)
	if err != nil {
		return control.TokenAnswer{}, err
	}
	st, _ := k.Status(req.Account)
	if life := lifeOf(st.Record); life > 0 && req.MinValid >= life && !st.Record.NeedsLogin() {
		return control.TokenAnswer{}, control.Errorf(control.CodeShortLived,
			"account %s: its tokens live for %s in all, so none lives for %s from now on; ask for less. Nothing was refreshed", req.Account, life, req.MinValid)
	}
	failed := b.onKeeper(ctx, req.Account, func(of *refresh.Keeper) error {
		k = of
		return k.Newer(ctx, req.Account, max(got.Version, req.IfVersion), req.May)
	})
	if got, err = b.Token(ctx, req.Account); err != nil || req.IsMetBy(got, b.Wall()) {
		return got, err
	}
	if failed != nil {
		st, _ := k.Status(req.Account)
		return control.TokenAnswer{}, forProgram(st, refreshError(st, failed))
	}
	return control.TokenAnswer{}, notUsable(req, got, b.Wall())
}

// lifeOf is for how long the tokens live that an account's broker gives it; 0: nobody
// knows.
func lifeOf(rec store.Record) time.Duration {
	switch rec.Origin {
	case store.OriginRefresh, store.OriginMint, store.OriginLogin:
		if !rec.Token.Uncertain {
			return max(rec.Token.Lifetime, 0)
		}
	}
	return 0
}

// notUsable is what is wrong with the token that has come.
func notUsable(req control.TokenRequest, got control.TokenAnswer, now time.Time) error {
	if got.Version <= req.IfVersion {
		return control.Errorf(control.CodeUnavailable,
			"account %s: no newer access token than version %d has come, though the broker was asked: see tokenkeeper status %[1]s", req.Account, got.Version)
	}
	return control.Errorf(control.CodeShortLived, "account %s: its newest token, version %d, lives for %s from now on, and more than %s is asked for; ask for less",
		req.Account, got.Version, max(0, got.Expiry.Sub(now)).Round(time.Second), req.MinValid)
}

// forProgram gives what lasts until a person does something a code of its own: a program may
// ask again for as long as it likes.
func forProgram(st refresh.Status, err error) error {
	refused := st.LastKind == sdk.KindInvalidClient && st.Due.IsZero() // and so it is not presented again by itself
	e, ok := errors.AsType[*control.Error](err)
	if ok && e.Code == control.CodeNotYet && st.Withheld != "" { // it had its turn for another one, and nothing was sent
		return control.Errorf(control.CodeNeedsPerson, "account %s: %v: %s", st.Record.Account, refresh.ErrWithheld, st.Withheld)
	}
	if !ok || e.Code != control.CodeUnavailable && e.Code != control.CodeConflict || st.Withheld == "" && !st.Waiting.TakesPerson() && !refused {
		return err
	}
	return control.Errorf(control.CodeNeedsPerson, "%v", err)
}

// refreshError gives an error of an account's refresh its code, and says what that waits
// for if nobody waits for it any more.
func refreshError(st refresh.Status, err error) error {
	switch {
	case errors.Is(err, sdk.ErrInvalidGrant) && st.Record.NeedsLogin():
		return control.Errorf(control.CodeNeedsLogin, "%v", err)
	case errors.Is(err, context.DeadlineExceeded) && st.WaitingText != "":
		return control.RefreshError(fmt.Errorf("%w: %s", err, st.WaitingText))
	}
	return control.RefreshError(err)
}
