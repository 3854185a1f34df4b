package alert

import (
	"fmt"
	"regexp"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// lasting is what is wrong with the accounts, out of all that the provider has; of
// unknown others nobody knows. No account is named: it also goes to sinks of
// other accounts at that provider.
func (l lot) lasting(accounts []string, all, unknown int, cs conditions) string {
	text := fmt.Sprintf("%d of %d accounts at %s %s", len(accounts), all, l.provider, l.trouble())
	if unknown > 0 {
		text += fmt.Sprintf("; of %s it is not known yet", counted(unknown, "other", "others"))
	}
	for _, name := range firstOf(accounts, groupLooks) {
		if cause := cs[Key(l.Type, name, "", "")].Cause; cause != "" {
			return text + "; the first error: " + unnamed(cause, name)
		}
	}
	return text
}

// unnamed is the text without the name of the account.
func unnamed(text, name string) string {
	return regexp.MustCompile(`(account )?\b`+regexp.QuoteMeta(name)+`\b`).ReplaceAllString(text, "an account")
}

// groupLooks is how many of a group's accounts are looked at for an error to
// quote.
const groupLooks = 3

// ended is what is left of the trouble, after it concerned so many accounts.
func (l lot) ended(concerned, left int, atLeast bool) string {
	number := counted(concerned, "account", "accounts")
	if atLeast {
		number = "at least " + number
	}
	text := fmt.Sprintf("%s at %s: %s", words(l.Type), l.provider, number+" had this trouble")
	switch left {
	case 0:
		return text + ", and none has it now"
	case 1:
		return text + ", and 1 still has it, with an alert of its own"
	}
	return text + fmt.Sprintf(", and %d still have it, each with an alert of its own", left)
}

// trouble is what is wrong with several accounts.
func (l lot) trouble() string {
	switch l.Type {
	case event.RefreshFailing:
		return "can't be refreshed"
	case event.NeedsLogin:
		return "need a login"
	case event.LoginDueSoon:
		return "need a login soon"
	case event.Ambiguous:
		return "have had a refresh of which nobody knows the outcome"
	case event.RivalRefresher:
		return "are refreshed by another program too"
	case event.UnknownToken:
		return "wait for a decision about the token in their files"
	case event.WrongZone:
		return "have files with local times that can't be right"
	case event.SharedFileHeld:
		return "can't have their shared files locked"
	case event.StoreRestored:
		return "go on with a restored token that may be spent"
	}
	return "have trouble (" + words(l.Type) + ")"
}

func (l lot) todo() string {
	step := ""
	switch l.Type {
	case event.RefreshFailing:
		step = "they are tried again all the time; look at the network and at the broker's status page; "
	case event.NeedsLogin, event.LoginDueSoon:
		step = "log in to each with: tokenkeeper login ACCOUNT; "
	case event.Ambiguous:
		step = "the same tokens are tried again by themselves; "
	case event.RivalRefresher:
		step = "find that program and stop it; "
	}
	return step + "to see every account run: tokenkeeper status; to see what is open run: tokenkeeper alerts"
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
