package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how an answer that was set aside becomes the account's all the
// same.

// ErrNotKept: no answer to that attempt is kept as evidence.
var ErrNotKept = errors.New("no answer to that attempt is kept")

// takeEvidence takes the newest answer that was set aside and may live, now that
// the record's refresh token is known to be dead.
func (a finder) takeEvidence(ctx context.Context) (bool, error) {
	if !a.rec().Refused() {
		return false, nil // what was refused is not the newest
	}
	for _, e := range a.rec().Late(a.keeper.clock.Now().Wall) {
		if a.verdictOf(e.Token) != lineage.Newer {
			continue
		}
		return true, a.takeLate(ctx, e, "the server refused our refresh token; that of an answer which was set aside "+
			e.At.UTC().Format(time.RFC3339)+" is tried")
	}
	return false, nil
}

// takeLate takes an answer that was set aside. What it takes the place of stands
// behind it until the broker has taken it.
func (a finder) takeLate(ctx context.Context, e store.Evidence, message string) error {
	f := find{
		token: whole(e.Token, a.rec()), parent: e.Parent, origin: store.OriginExternal, where: "an answer that was kept", message: message,
		otherLogin: e.Grant != a.rec().Grant, // or nobody knows
		grantedTo:  e.GrantedTo,
	}
	if spool.IsLogin(e.Kind) {
		f.loginAt = e.Token.IssuedAt
	}
	err := a.take(ctx, f)
	a.lookWhenIdle(toLook)
	return err
}

// TakeLate takes an answer that was set aside, by a person's word. It is
// [ErrNotKept] if there is none, and [ErrOtherAccount] if its token is another
// account's.
func (p persons) TakeLate(ctx context.Context, name, attempt string) (store.Record, error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return store.Record{}, err
	}
	defer a.release()
	if err := a.storeHeld(ctx); err != nil {
		return store.Record{}, err
	}
	for _, e := range a.rec().Late(p.clock.Now().Wall) {
		if e.Attempt != attempt {
			continue
		}
		if err := (finder{a}).fit(e.Token, true, false); err != nil {
			return store.Record{}, err
		}
		err := finder{a}.takeLate(ctx, e, "a person wants the token of an answer that was set aside; the one before it is kept until the broker has taken this one")
		return a.rec(), err
	}
	return store.Record{}, fmt.Errorf("account %s: %w (%s); those that are: tokenkeeper spool", name, ErrNotKept, attempt)
}
