package refresh

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

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
func (k *Keeper) grantedElsewhere(a *account) string {
	then, now := a.rec().GrantedTo, GrantedTo(a.cfg.Account)
	environment := func(g store.GrantedTo) string { return cmp.Or(g.Environment, k.usual) }
	was, is := "", ""
	switch {
	case a.rec().Provider != "" && a.rec().Provider != k.cfg.Provider:
		was, is = "by provider "+a.rec().Provider, "provider "+k.cfg.Provider
	case then.Client == "" || now.Client == "": // nobody knows
		return ""
	case then.Client != now.Client:
		was, is = "to another client_id", "this one"
	case k.met && environment(then) != environment(now):
		was, is = "in environment "+environment(then), environment(now)
	case then.TokenHost != "" && now.TokenHost != "" && then.TokenHost != now.TokenHost:
		was, is = "by "+then.TokenHost, now.TokenHost
	default:
		return ""
	}
	return fmt.Sprintf("its refresh token was granted %s, and the configuration names %s: the broker might end the login if it were "+
		"sent. Put the configuration back as it was, or: tokenkeeper login %s", was, is, a.cfg.Name)
}

// tellGrantedElsewhere says it of every account, once a policy is known. The
// caller does not hold k.mu.
func (k *Keeper) tellGrantedElsewhere() {
	for _, a := range k.order {
		k.mu.Lock()
		why := ""
		if a.stored() {
			if why = k.grantedElsewhere(a); why != "" {
				k.changes(a)
			}
		}
		k.mu.Unlock()
		if why != "" {
			k.publish(slog.LevelError, a.cfg.Name, event.Event{Type: event.RefreshPutOff, Message: "nothing is refreshed: " + why})
		}
	}
}
