// Package advice decides what a person is told to do for an account: to log in, or
// where its provider has no login to import a token, or where its tokens are minted to
// mend the key. It is pure.
package advice

import (
	"cmp"
	"fmt"
)

// Means is what a person gives an account so that it gets a token.
type Means string

// The zero value is a login too: so it is while nothing is known of the provider.
const (
	Login  Means = "login"
	Import Means = "import" // its provider has no login, and a token comes from a file
	Key    Means = "key"    // its tokens are minted from the key in the configuration
)

// Token is what a person does for a token of an account.
type Token struct {
	Account string
	Means   Means
	// Stands: the account has a token that may still work, over which an import is
	// made only by force.
	Stands bool
}

// Command gives the account a token.
func (t Token) Command() string {
	switch {
	case t.Means == Key:
		return "tokenkeeper refresh " + t.Account + " --force"
	case t.Means == Import && t.Stands:
		return "tokenkeeper import " + t.Account + " FILE --force"
	case t.Means == Import:
		return "tokenkeeper import " + t.Account + " FILE"
	}
	return "tokenkeeper login " + t.Account
}

// With says what is to be done, and with which command; how qualifies the act ("again").
// The order to mend a key stands alone, because most of it is no command.
func (t Token) With(how string) string {
	if how != "" {
		how = " " + how
	}
	switch t.Means {
	case Key:
		return MendKey(t.Account)
	case Import:
		return "import a token" + how + " with: " + t.Command()
	}
	return "log in" + how + " with: " + t.Command()
}

// First is With for an account that has no token, for which an import does as well.
func (t Token) First() string {
	from := fmt.Sprintf("take one from a token file with: tokenkeeper import %s FILE", t.Account)
	switch t.Means {
	case Key:
		return t.With("")
	case Import:
		return from
	}
	return t.With("") + ", or " + from
}

// Needs names what the account needs if nothing else gives it a token.
func (t Token) Needs() string {
	switch t.Means {
	case Key:
		return "a key that the broker takes"
	case Import:
		return "another token from a file"
	}
	return "a login"
}

// ForEach says what is to be done for several accounts of one provider, by what each
// of them needs.
func ForEach(needs []Means) string {
	switch only(needs) {
	case Login:
		return "log in to each with: tokenkeeper login ACCOUNT"
	case Import:
		return "import a token for each with: tokenkeeper import ACCOUNT FILE"
	case Key:
		return "mend client_id, client_secret or settings of each, then run: tokenkeeper reload; if what they name was mended: tokenkeeper refresh ACCOUNT --force"
	}
	return "what each of them needs says: tokenkeeper status"
}

// NeededBy names what several accounts need.
func NeededBy(needs []Means) string {
	if m := only(needs); m != "" {
		return Token{Means: m}.Needs()
	}
	return "a person"
}

// Has is how it stands with accounts that have got what they needed.
func Has(needs []Means) string {
	if only(needs) == Login {
		return "is logged in again"
	}
	return "has a token that works again"
}

// only is what all of them need, of none a login; "": they don't need the same.
func only(needs []Means) (m Means) {
	for _, n := range needs {
		n = cmp.Or(n, Login)
		if m = cmp.Or(m, n); m != n {
			return ""
		}
	}
	return cmp.Or(m, Login)
}

// MendKey says what to do about a key that the broker refuses.
func MendKey(account string) string {
	return "mend client_id, client_secret or settings of the account, then run: tokenkeeper reload; if what they name was mended: tokenkeeper refresh " + account + " --force"
}
