package control

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// AccountList is the answer of GET /v1/accounts: all accounts that are configured, and
// all of which the store has a token, by name.
type AccountList struct {
	Now      time.Time       `json:"now"`
	Accounts []ListedAccount `json:"accounts"`
}

// ListedAccount is one of them. What is known of its login is what the store knows.
type ListedAccount struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// Configured: the configuration that runs names it. Of another one nobody refreshes
	// the token.
	Configured bool `json:"configured"`
	// ClientID is how the client id begins to which its token was granted, or will be; "":
	// no account that is configured has that client, or it has none.
	ClientID string `json:"client_id_begins,omitempty"`
	// Client is the fingerprint of that client id; "": not known.
	Client  string `json:"client_id_fingerprint,omitempty"`
	Version uint64 `json:"version"`
	// HasLogin: there is a token which the broker has not refused, and whose end nobody
	// knows to be past.
	HasLogin bool `json:"has_login"`
	// Way and what follows are as in [Account].
	Way                    string    `json:"way,omitempty"`
	Expiry                 time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain        bool      `json:"expiry_uncertain,omitempty"`
	RefreshExpiry          time.Time `json:"refresh_expires_at,omitzero"`
	RefreshExpiryUncertain bool      `json:"refresh_expiry_uncertain,omitempty"`
	RefreshRefused         bool      `json:"refresh_refused,omitempty"`
	Revoked                time.Time `json:"revoked_at,omitzero"`
	RevokeUnknown          time.Time `json:"revoke_unknown_since,omitzero"`
	// MayBe are accounts of the configuration, without a token, of the same provider and
	// the same client, of none of which the store has another token that is in no
	// configuration: this account was perhaps renamed.
	MayBe []string `json:"may_be,omitempty"`
}

// RenameAnswer is the answer of POST /v1/accounts/{account}/rename.
type RenameAnswer struct {
	// Account goes on with what was stored as From.
	Account string `json:"account"`
	From    string `json:"from"`
	Version uint64 `json:"version"`
	// Unread counts the answers in the spool, which nobody could read, that are the
	// account's now.
	Unread int `json:"unread"`
	// Way and the times are as in [Account].
	Way           string    `json:"way,omitempty"`
	Expiry        time.Time `json:"expires_at,omitzero"`
	RefreshExpiry time.Time `json:"refresh_expires_at,omitzero"`
}

// ForgetAnswer is the answer of POST /v1/accounts/{account}/forget: what is stored no more.
// At the broker nothing was done, unless Revoked says when it ended the login.
type ForgetAnswer struct {
	Account  string `json:"account"`
	Provider string `json:"provider,omitempty"`
	// Version of its token; 0: it had none. HadLogin and what follows are as in
	// [ListedAccount].
	Version       uint64    `json:"version"`
	HadLogin      bool      `json:"had_login"`
	Way           string    `json:"way,omitempty"`
	Expiry        time.Time `json:"expires_at,omitzero"`
	RefreshExpiry time.Time `json:"refresh_expires_at,omitzero"`
	Revoked       time.Time `json:"revoked_at,omitzero"`
	// Attempts that were not settled, and answers that nobody could read.
	Attempts int `json:"attempts"`
	Unread   int `json:"unread"`
}

// Ends is when its login is over; zero: nobody knows.
func (a ListedAccount) Ends() (end time.Time, uncertain bool) {
	if a.Way == WayRefresh {
		return a.RefreshExpiry, a.RefreshExpiryUncertain
	}
	return a.Expiry, a.ExpiryUncertain
}

// LoginText says for people how its login is.
func (a ListedAccount) LoginText(now time.Time) string {
	end, uncertain := a.Ends()
	its := "its login"
	if a.Way == WayMint {
		its = "its last token, which was minted,"
	}
	switch {
	case a.Version == 0:
		return "it has no token"
	case !a.Revoked.IsZero():
		return "its login is over: it was revoked " + moment.Text(a.Revoked, now, false)
	case a.RefreshRefused:
		return "its login is over: the broker has refused its refresh token"
	case !a.RevokeUnknown.IsZero():
		return RevokeUnknownText(a.RevokeUnknown, now)
	case end.IsZero():
		return its + " lives until nobody knows when"
	case !a.HasLogin:
		return its + " ended " + moment.Text(end, now, uncertain)
	}
	return its + " lives until " + moment.Text(end, now, uncertain)
}

// RevokeUnknownText says for people that nobody knows whether a login is revoked, which its
// broker was asked for.
func RevokeUnknownText(asked, now time.Time) string {
	return "a revocation of its login was sent " + moment.Text(asked, now, false) + ", and its outcome is unknown"
}

// LeftText says of an account that is in no configuration how it is, and what a person can
// do.
func (a ListedAccount) LeftText(now time.Time) (what, todo string) {
	what = fmt.Sprintf("account %s is in the store and in no configuration: nobody refreshes it, and %s", a.Name, a.LoginText(now))
	forget := "tokenkeeper accounts forget " + a.Name
	switch {
	case len(a.MayBe) > 0:
		is := "NEW"
		if len(a.MayBe) == 1 {
			is = a.MayBe[0]
		}
		return what, fmt.Sprintf("was it renamed to %s? Then: tokenkeeper accounts rename %s %s; if it is to go: %s", strings.Join(a.MayBe, " or "), a.Name, is, forget)
	case a.HasLogin && !a.RevokeUnknown.IsZero():
		return what, fmt.Sprintf("ask again: %s --revoke, or look in the broker's account page; if it has another name now: tokenkeeper accounts rename %s NEW", forget, a.Name)
	case a.HasLogin && a.Way != WayMint:
		return what, fmt.Sprintf("if it is to go: %s; if it has another name now: tokenkeeper accounts rename %s NEW", forget, a.Name)
	}
	return what, "if it is to go: " + forget
}

// LeftLines are such accounts for people, each on a line, and of many the first ones.
func LeftLines(left []ListedAccount, now time.Time) (lines []string) {
	const most = 3
	for i, a := range left {
		if i == most && len(left) > most+1 {
			return append(lines, fmt.Sprintf("and %d more accounts are in the store and in no configuration: tokenkeeper accounts list", len(left)-most))
		}
		what, todo := a.LeftText(now)
		lines = append(lines, what+"; "+todo)
	}
	return lines
}
