package refresh

import (
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/advice"
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

// anew is how the account gets a token where no other one stands in the way.
func (a *account) anew() advice.Token {
	return advice.Token{Account: a.cfg.Name, Means: a.keeper.means()}
}

func (k *Keeper) means() advice.Means {
	if k.imported.Load() {
		return advice.Import
	}
	return advice.Login
}

// by is anew, or the key that the broker refuses. The caller holds k.mu.
func (a *account) by() advice.Token {
	t := a.anew()
	if KeyRefused(a.rec()) {
		t.Means = advice.Key
	}
	return t
}

// instead is how it gets one in the place of a token that may still work.
func (a *account) instead() advice.Token {
	t := a.anew()
	t.Stands = true
	return t
}

// needs is the error that only a person helps, with what is to be said of that.
func (a *account) needs(said string) error {
	what := ErrNeedsLogin.Error()
	if t := a.anew(); t.Means == advice.Import {
		what = "the account needs " + t.Needs()
	}
	return advice.Worded("account "+a.cfg.Name+": "+what+said, ErrNeedsLogin)
}

// errLoginsOnly is why the account's token brings no next one.
func (a *account) errLoginsOnly() error {
	from := "a login"
	if a.anew().Means == advice.Import {
		from = "a file"
	}
	return a.needs(": this broker's tokens come from " + from + " alone; for another one: " + a.instead().Command())
}

// errLoginless is told to who would log in where the provider has no login.
func (a *account) errLoginless() error {
	k := a.keeper
	k.mu.Lock()
	mints := k.ways == store.WayMint
	k.mu.Unlock()
	instead := ": take a token from a file with: tokenkeeper import " + a.cfg.Name + " FILE"
	if mints {
		instead = ": its tokens are minted from the account's key"
	}
	return advice.Worded("account "+a.cfg.Name+": provider "+k.cfg.Provider+" has no login of its own"+instead, login.ErrNoShape)
}

// orLogin is the way out beside an import; "": there is none.
func (a *account) orLogin() string {
	t := a.anew()
	if t.Means == advice.Import {
		return ""
	}
	return ", or " + t.With("")
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
