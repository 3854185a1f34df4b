package refresh

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
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
	k.planIdle(k.order...)
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
	return a.grantedElsewhere()
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

// The settings of a provider that say where a refresh token is worth something.
const (
	settingEnvironment = "environment"
	settingTokenURL    = "token_url"
)

// GrantedTo is to whom a token is granted that the account, as it is configured,
// gets now.
func GrantedTo(a sdk.Account) store.GrantedTo {
	g := store.GrantedTo{
		Client:      sdk.NewSecret(a.ClientID).Fingerprint(),
		Environment: a.Settings[settingEnvironment],
	}
	if u, err := url.Parse(a.Settings[settingTokenURL]); err == nil {
		g.TokenHost = u.Hostname()
	}
	return g
}

// usualEnvironment is the one of accounts that name none.
func usualEnvironment(d sdk.Description) string {
	for _, s := range d.Settings {
		if s.Name == settingEnvironment {
			return s.Default
		}
	}
	return ""
}

// grantedElsewhere is why the refresh token of the account's record must not be
// sent as the account is configured now, with what to do; "": it may. The caller
// holds k.mu.
func (a *account) grantedElsewhere() string {
	if a.kind() == spool.KindMint && a.rec().CanMint() { // from what is configured now
		return ""
	}
	return a.toAnother()
}

// toAnother is grantedElsewhere whatever follows from that. The caller holds k.mu.
func (a *account) toAnother() string {
	if a.rec().Way == store.WayMint { // nothing of it is sent
		return ""
	}
	then, now := a.rec().GrantedTo, GrantedTo(a.cfg.Account)
	environment := func(g store.GrantedTo) string { return cmp.Or(g.Environment, a.keeper.usual) }
	was, is := "", ""
	switch {
	case a.rec().Provider != "" && a.rec().Provider != a.keeper.cfg.Provider:
		was, is = "by provider "+a.rec().Provider, "provider "+a.keeper.cfg.Provider
	case then.Client == "" || now.Client == "": // nobody knows
		return ""
	case then.Client != now.Client:
		was, is = "to another client_id", "this one"
	case a.keeper.met && environment(then) != environment(now):
		was, is = "in environment "+environment(then), environment(now)
	case then.TokenHost != "" && now.TokenHost != "" && then.TokenHost != now.TokenHost:
		was, is = "by "+then.TokenHost, now.TokenHost
	default:
		return ""
	}
	return fmt.Sprintf("its refresh token was granted %s, and the configuration names %s: the broker might end the login if it were "+
		"sent. Put the configuration back as it was, or: %s", was, is, a.instead().Command())
}

// tellGrantedElsewhere says it of every account, once a policy is known. The
// caller does not hold k.mu.
func (k *Keeper) tellGrantedElsewhere() {
	for _, a := range k.order {
		k.mu.Lock()
		why := ""
		if a.stored() {
			if why = a.grantedElsewhere(); why != "" {
				a.changes()
			}
		}
		k.mu.Unlock()
		if why != "" {
			a.Publish(slog.LevelError, event.Event{Type: event.RefreshPutOff, Message: "nothing is refreshed: " + why})
		}
	}
}
