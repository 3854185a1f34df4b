package refresh

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrWithheld: no refresh token is sent, because another machine may send the
// same one, or because it was granted to another client.
var ErrWithheld = errors.New("its refresh token is not used")

// Hold keeps refresh tokens from being sent. What needs no sending goes on:
// answers are taken from the spool, newer tokens from shared files, and people
// log in.
type Hold struct {
	// Reason for people, with what to do.
	Reason string
	// Logins are the grants that it is not about: when people logged in to
	// them, by account.
	Logins map[string]time.Time
}

// withholds says whether the refresh token of rec must not be sent.
func (h *Hold) withholds(rec store.Record) bool {
	if h == nil {
		return false
	}
	at, own := h.Logins[rec.Account]
	return !own || !at.Equal(rec.LoginAt)
}

// Hold begins a hold in place of an earlier one; nil ends it. A refresh that
// was sent is not cut off.
func (k *Keeper) Hold(h *Hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.withhold = h
	planAnew(k.order...)
	k.signal()
}

// withheld is why the account's refresh token is not sent; "": it may be. The
// caller holds k.mu.
func (a *account) withheld() string {
	switch {
	case !a.stored():
		return ""
	case a.keeper.withhold.withholds(a.rec()):
		return a.keeper.withhold.Reason
	}
	return a.outlook().grantedElsewhere()
}

// mayBeSent fails while the account's refresh token is withheld, and takes the
// account out of the plan: the end of the hold, or another token, plans it again.
func (a *round) mayBeSent() error {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	why := a.withheld()
	if why == "" {
		return nil
	}
	a.replan()
	return fmt.Errorf("account %s: %w: %s", a.cfg.Name, ErrWithheld, why)
}
