package refresh

import (
	"fmt"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what a person is told to do for a token. A provider without a login
// says so of itself; before it is known, a login is advised.

// Advice is what only a person can do for the account now; "": nothing, or what is said
// of what waits for a decision.
func (s Status) Advice() string {
	switch {
	case s.State == NeedsLogin, s.SessionGone && s.Record.Way == store.WayLogin:
		return s.By.With("")
	case s.State == New && !s.Mints:
		return s.By.First()
	}
	return ""
}

// words are what is said to people of an account.
type words struct {
	name, provider string
	by             *acquaintance // by which a login is advised, or an import
}

// anew is how the account gets a token where no other one stands in the way.
func (w words) anew() advice.Token {
	return advice.Token{Account: w.name, Means: w.by.nature().means()}
}

// mended is anew, or the key that the broker refuses.
func (w words) mended(rec store.Record) advice.Token {
	t := w.anew()
	if KeyRefused(rec) {
		t.Means = advice.Key
	}
	return t
}

// instead is how it gets one in the place of a token that may still work.
func (w words) instead() advice.Token {
	t := w.anew()
	t.Stands = true
	return t
}

// needs is the error that only a person helps, with what is to be said of that.
func (w words) needs(said string) error {
	what := ErrNeedsLogin.Error()
	if t := w.anew(); t.Means == advice.Import {
		what = "the account needs " + t.Needs()
	}
	return advice.Worded("account "+w.name+": "+what+said, ErrNeedsLogin)
}

// mintFailed are the words for people of a key that the broker refuses.
const mintFailed = "the broker refuses the key of the configuration"

// errNeeds is needs for who asks for a refresh of an account with that record.
func (w words) errNeeds(rec store.Record) error {
	said := strings.TrimPrefix(rec.Health.LastError, "account "+w.name+": ")
	if KeyRefused(rec) {
		return advice.Worded(fmt.Sprintf("account %s: %s (%s); %s", w.name, mintFailed, said, advice.MendKey(w.name)), ErrNeedsLogin)
	}
	return w.needs(" (" + said + "); " + w.anew().With(""))
}

// errLoginsOnly is why the account's token brings no next one.
func (w words) errLoginsOnly() error {
	from := "a login"
	if w.anew().Means == advice.Import {
		from = "a file"
	}
	return w.needs(": this broker's tokens come from " + from + " alone; for another one: " + w.instead().Command())
}

// errLoginless is told to who would log in where the provider has no login.
func (w words) errLoginless() error {
	instead := ": take a token from a file with: tokenkeeper import " + w.name + " FILE"
	if w.by.nature().ways == store.WayMint {
		instead = ": its tokens are minted from the account's key"
	}
	return advice.Worded("account "+w.name+": provider "+w.provider+" has no login of its own"+instead, login.ErrNoShape)
}

// errNoRevoker is told to who wants a login to be over where nobody here can ask the broker.
func (w words) errNoRevoker() error {
	return advice.Worded(fmt.Sprintf("account %s: provider %s knows no way to have its broker end a login: nothing was asked of it, and nothing has changed. "+
		"To end it, take the application's access away in the broker's own settings; until then nothing is refreshed after: tokenkeeper pause %[1]s", w.name, w.provider),
		fmt.Errorf("%w: %w", ErrNotRevoked, sdk.ErrUnimplemented))
}

// notRevoked is [ErrNotRevoked], with why.
func (w words) notRevoked(why error) error {
	return advice.Worded(fmt.Sprintf("account %s: %v: %s", w.name, ErrNotRevoked, w.bare(why.Error())), fmt.Errorf("%w: %w", ErrNotRevoked, why))
}

// orLogin is the way out beside an import; "": there is none.
func (w words) orLogin() string {
	t := w.anew()
	if t.Means == advice.Import {
		return ""
	}
	return ", or " + t.With("")
}

// nextBy is how the account gets its next token by an attempt of that kind.
func (w words) nextBy(kind string) string {
	switch kind {
	case spool.KindMint:
		return "the next token is minted from its key"
	case spool.KindRefresh, spool.KindRenew:
		return "its " + spent(kind) + " is sent when the next token is due"
	}
	return "for the next token it needs " + w.anew().Needs()
}

// mixedUp is the failure of an attempt that was answered with the token of
// another account: most likely two accounts are one login, of which a broker
// keeps one refresh token. What became of this account's is not known.
func (w words) mixedUp(other string) error {
	return &sdk.Error{Kind: sdk.KindAmbiguous, Message: fmt.Sprintf("it was answered with the refresh token of account %s, and nothing of that "+
		"was stored. Most likely both accounts are one login at the broker, which keeps one refresh token for it: remove one of the two accounts "+
		"from the configuration and let its sinks name the other, or %s, as somebody else. If they are two logins, "+
		"report it to the author of provider %s", other, w.instead().With(""), w.provider)}
}

// errUnreadable is told where an answer waits in the spool that this build of the
// provider can't read.
func (w words) errUnreadable() error {
	return fmt.Errorf("account %s: an answer of the broker, perhaps with a token, waits in the spool, and this build of provider %s can't read it: "+
		"%w. It is kept, and nothing is sent before it is read: put the build back that sent the request, and then: tokenkeeper restart %[2]s",
		w.name, w.provider, sdk.ErrUnimplemented)
}

// of names the account in an error, once.
func (w words) of(err error) error { return advice.Named(w.name, err) }

// bare is a provider's word without the account's name and without its advice.
func (w words) bare(cause string) string { return advice.Bare(w.name, cause) }

// spent names what an attempt of a kind spends.
func spent(kind string) string {
	switch kind {
	case spool.KindRenew:
		return "access token"
	case spool.KindMint:
		return "key"
	}
	return "refresh token"
}

// actOf names an attempt of a kind.
func actOf(kind string) string {
	switch kind {
	case spool.KindRenew:
		return "renewal"
	case spool.KindMint:
		return "mint"
	case spool.KindExchange, spool.KindLogin:
		return "login"
	}
	return "refresh"
}

// perhaps is what a server has perhaps done that was sent an attempt of a kind.
func perhaps(kind string) string {
	if kind == spool.KindMint {
		return "minted a token, which would have ended the one before"
	}
	return "used up the " + spent(kind)
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
