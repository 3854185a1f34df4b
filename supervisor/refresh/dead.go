package refresh

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// deadOnArrival counts a refresh that brought an access token without a life as
// a failure: rec, the next version, is stored all the same, because its refresh
// token is the newest. It is no failure of a login, after which a refresh helps
// at once, nor of an answer that died while it waited in the spool. nil: the
// token lives.
func deadOnArrival(rec *store.Record, before store.Record, in store.Intent, recovered bool, now time.Time) error {
	t := rec.Token
	if t.Valid(now) || in.Kind == spool.KindExchange || recovered && t.Lifetime > 0 {
		return nil
	}
	said := fmt.Sprintf("it says that the token lives %s", t.Lifetime)
	if t.Lifetime > 0 {
		said = "it says that the token died " + t.Expiry().UTC().Format(time.RFC3339)
	}
	err := fmt.Errorf("account %s: the broker has answered with an access token that is dead already (%s); "+
		"it is stored as version %d, and given to nobody", rec.Account, said, rec.Version)
	rec.Health = store.Health{
		Failures: before.Health.Failures + 1, LastError: err.Error(), LastKind: sdk.KindTransient, LastFailure: now,
	}
	return err
}

// tellDead tells of it as of any failed refresh.
func (k *Keeper) tellDead(a *leased, rec store.Record, next time.Time) {
	h := rec.Health
	k.publish(slog.LevelWarn, a.cfg.Name, event.Event{
		Type: event.RefreshFailed, Version: rec.Version, Attempt: rec.Attempt, Kind: string(h.LastKind),
		Failures: h.Failures, Max: a.cfg.MaxFailures, Next: next, Message: h.LastError,
	})
}

// outlived notes of a refresh token that has just worked after the end of its
// login that nobody knows that end.
func outlived(rec *store.Record, before store.Record, p sdk.Policy, in store.Intent) {
	if in.Kind == spool.KindRefresh && !p.Sliding && rec.Token.RefreshLifetime == 0 && !before.RefreshExpiry.IsZero() && in.At.After(before.RefreshExpiry) {
		rec.LoginUncertain = true
	}
}

// tellTimes warns once of a lifetime that is odd, and of wishes that it cuts.
func (k *Keeper) tellTimes(a *leased, rec store.Record, doubt string) {
	k.mu.Lock()
	p := k.policyOf(a.account)
	p.BeforeExpiry = a.cfg.BeforeExpiry // what the provider wishes fits itself
	var news []string
	tell := func(key, text string) {
		if text == "" || a.desk().told[key] {
			return
		}
		if a.desk().told == nil {
			a.desk().told = map[string]bool{}
		}
		a.desk().told[key] = true
		news = append(news, text)
	}
	tell("lifetime "+rec.Token.Lifetime.Round(time.Minute).String(), doubt)
	for _, cut := range schedule.Cut(p, rec.Token.Lifetime) {
		tell(cut, "refresh."+cut)
	}
	k.mu.Unlock()
	for _, text := range news {
		k.cfg.Log.Warn(text, "provider", k.cfg.Provider, "account", a.cfg.Name)
	}
}
