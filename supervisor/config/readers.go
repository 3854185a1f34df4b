package config

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Reader may read the access tokens of some accounts over the control API, and do
// nothing else there.
type Reader struct {
	// User is one, and whoever is in Group is one, each a name or a number of this
	// machine, or "". A name may get its number later.
	User, Group string
	// Accounts are names, or [EveryAccount].
	Accounts []string
}

// EveryAccount among a reader's accounts stands for all of them.
const EveryAccount = "*"

// Unmapped is the number by which the kernel calls every user, and every group, that has
// none in this user namespace; "nobody" and "nogroup" elsewhere.
const Unmapped = 65534

// Reads says whether an account is among those of the reader.
func (r Reader) Reads(account string) bool {
	return slices.Contains(r.Accounts, account) || slices.Contains(r.Accounts, EveryAccount) && sdk.ValidName(account)
}

// UserNumber and GroupNumber are those of a name, or the number that stands in its place.
func UserNumber(word string) (uint32, error) {
	return numberOf(word, func() (string, error) {
		u, err := user.Lookup(word)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

func GroupNumber(word string) (uint32, error) {
	return numberOf(word, func() (string, error) {
		g, err := user.LookupGroup(word)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

func numberOf(word string, lookup func() (string, error)) (uint32, error) {
	if n, err := strconv.ParseUint(word, 10, 31); err == nil {
		return uint32(n), nil
	}
	text, err := lookup()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return uint32(n), err
}

func readers(control Object) (all []Reader) {
	for _, r := range rowsOf(control, "readers") {
		all = append(all, Reader{User: r.Word("user"), Group: r.Word("group"), Accounts: r.Words("accounts")})
	}
	return all
}

func (l *loader) validateReaders(cfg *Config) {
	control := l.root.Down("control")
	if len(cfg.Control.Readers) > 0 && cfg.StateDir != "" && liesIn(cfg.Control.Socket, cfg.StateDir) {
		l.report(control.At("readers"), "they can't get at the socket, which is in the state directory, and that is for the supervisor alone",
			"write control.socket: /run/tokenkeeper/control.sock")
	}
	for _, r := range rowsOf(control, "readers") {
		if r.Word("user") == "" && r.Word("group") == "" && !r.Broken("user") && !r.Broken("group") {
			l.report(r.At("user"), "the reader is nobody", "write user: bot, or group: traders")
		}
		validateWho(r, "user", UserNumber, "useradd")
		validateWho(r, "group", GroupNumber, "groupadd")
		validateReaderAccounts(r, cfg)
	}
}

// validateWho warns of a name that this machine does not know: the user may be made after
// the service is, and until then the name lets nobody in.
func validateWho(r Object, key string, number func(string) (uint32, error), making string) {
	word := r.Word(key)
	if word == "" {
		return
	}
	switch n, err := number(word); {
	case err != nil:
		r.Warn(r.At(key), fmt.Sprintf("there is no %s %q on this machine, and until there is, the line lets nobody in", key, word),
			fmt.Sprintf("%s --system %s, or write the number", making, word))
	case n == Unmapped:
		r.Report(r.At(key), fmt.Sprintf("%q is what the kernel calls everybody who has no number here", word), "write a "+key+" of its own")
	}
}

func validateReaderAccounts(r Object, cfg *Config) {
	if !r.Given("accounts") {
		r.Warn(r.At("accounts"), "the reader may read no account", `write accounts: [NAME], or ["*"] for all`)
	}
	if r.l.root.Broken("accounts") {
		return
	}
	eachWord(r, "accounts", "account", `name accounts, or write ["*"] for all`, func(at Place, word string) {
		switch _, known := cfg.Accounts[word]; {
		case known, word == EveryAccount, r.l.badNames[word], r.l.root.e.under("accounts", word).isBroken():
		case isGlob(word):
			r.Report(at, fmt.Sprintf("%q is a pattern, and a reader's accounts are named", word), `name accounts, or write ["*"] for all`)
		default:
			r.Report(at, fmt.Sprintf("unknown account %q", word), suggest(word, r.l.accounts))
		}
	})
}
