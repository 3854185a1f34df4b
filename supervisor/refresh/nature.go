package refresh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// nature is what a provider says of itself and of its broker. Of one that is not known
// it is the zero value.
type nature struct {
	met    bool // it is known
	policy sdk.Policy
	limits sdk.Limits
	ways   store.Way  // how its accounts get their next token
	mints  bool       // it can mint
	repeat sdk.Repeat // what a second mint does
	// imported: it has no login, so that tokens are imported.
	imported bool
	usual    string        // environment of the broker, if an account names none
	steering []string      // settings that name files which steer it
	settings []sdk.Setting // all that its accounts may have
	// revokes is what it can have its broker end; "": nothing.
	revokes sdk.RevokeScope
	beside  bool // it can exchange a code while a refresh of the account is under way
}

func natureOf(d sdk.Description) nature {
	return nature{
		met: true, policy: d.Policy, limits: d.Limits, ways: WayOf(d), mints: d.Minter, repeat: cmp.Or(d.Repeat, sdk.RepeatReplaces),
		imported: !d.Authorizer && !d.LoginGuide, usual: usualEnvironment(d), steering: steering(d), settings: d.Settings, beside: d.ExchangeBeside, revokes: d.Revokes,
	}
}

// WayOf is what a provider says of how its accounts get their next token.
func WayOf(d sdk.Description) store.Way {
	switch {
	case !d.NoRefresh:
		return store.WayRefresh
	case d.Renewer:
		return store.WayRenew
	case d.Minter:
		return store.WayMint
	}
	return store.WayLogin
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

// steering are the names of the settings that steer.
func steering(d sdk.Description) (names []string) {
	for _, s := range d.Settings {
		if s.Steers {
			names = append(names, s.Name)
		}
	}
	return names
}

// grace is how long the server accepts a refresh token that it has replaced, less
// a tenth for what the clocks and the way may differ.
func (n nature) grace() time.Duration { return n.policy.ReuseGrace - n.policy.ReuseGrace/10 }

// wayAfter is how a new token of an account is followed by the next one; as long as the
// provider is not known, as the one before.
func (n nature) wayAfter(before store.Way) store.Way {
	if !n.met {
		return before
	}
	return n.ways
}

// wayNow is how a record gets its next token by what is known of its provider now: one
// that has come to mint, or does so no more, holds for the tokens that are there.
func (n nature) wayNow(rec store.Record) store.Way {
	if n.ways == store.WayMint || rec.Way == store.WayMint && !n.mints {
		return n.ways
	}
	return rec.Way
}

// keyOf is the fingerprint of what a mint of the account presents; "": none is made.
func (n nature) keyOf(a Account) string {
	if !n.mints {
		return ""
	}
	return KeyOf(a.Account, a.OtherSecrets...)
}

// clientFirst says whether the broker is known to look at the account's client before it
// looks at what a request spends.
func (n nature) clientFirst(a Account) bool { return a.ClientFirst || n.policy.ClientFirst }

func (n nature) means() advice.Means {
	if n.imported {
		return advice.Import
	}
	return advice.Login
}

// acquaintance is what is known of a provider by now. It is safe for concurrent use.
type acquaintance struct{ known atomic.Pointer[nature] }

func (a *acquaintance) nature() nature {
	if n := a.known.Load(); n != nil {
		return *n
	}
	return nature{}
}

func (a *acquaintance) learn(n nature) { a.known.Store(&n) }

// Policy is what is known of the provider's tokens.
func (a *acquaintance) Policy() sdk.Policy { return a.nature().policy }

// Way is how accounts of the provider get their next token; ok is false as long as
// it is not known.
func (a *acquaintance) Way() (w store.Way, ok bool) {
	n := a.nature()
	return n.ways, n.met
}

// LoginEnd says what is known of the end of the login that rec comes from.
func (a *acquaintance) LoginEnd(rec store.Record) LoginEnd { return loginEnd(rec, a.nature()) }

// EndGuessed says whether the end of rec's refresh token rests on a guess.
func (a *acquaintance) EndGuessed(rec store.Record) bool { return !endIsSure(rec, a.Policy()) }

// KeyOf is the fingerprint of what a mint of the account presents: all that the
// configuration says of it to its broker. All of it goes into one sum, so that a short
// secret, such as a PIN, can't be guessed from that without the others.
//
// Whoever has all the others can try the few PINs there are. The sum is told nobody, and
// stands in the store and in the spool alone, beside the tokens themselves, where only
// they read who read the configuration, too; so no key is kept for it, which would have
// to lie there as well. A copy of the store that leaves the machine is another matter:
// it holds the account's tokens anyway, and has to be kept as a secret.
func KeyOf(a sdk.Account, otherSecrets ...sdk.Secret) string {
	var settings []string
	for _, secret := range otherSecrets {
		settings = append(settings, "client_secret", secret.Reveal())
	}
	for _, name := range slices.Sorted(maps.Keys(a.Settings)) {
		settings = append(settings, name, a.Settings[name])
	}
	return sdk.NewSecret(fmt.Sprintf("tokenkeeper mint %q %q %q %q", a.ClientID, a.ClientSecret.Reveal(), a.Scopes, settings)).Fingerprint()
}
