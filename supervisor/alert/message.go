package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// stillSince begins the message of an alert that is repeated, and stillEnd ends
// that beginning.
const (
	stillSince = "still, since "
	stillEnd   = " UTC: "
)

// text is what is wrong and what to do about it.
func (c Condition) text() string {
	if c.Todo == "" {
		return c.What
	}
	return c.What + "; " + c.Todo
}

// sentence is the message of an alert in its state.
func sentence(a event.Alert, text string) string {
	switch a.State {
	case event.AlertRepeated:
		return stillSince + moment.Stamp(a.Since) + ": " + text
	case event.AlertRecovered:
		return fmt.Sprintf("over after %s: %s", span(a.ChangedAt.Sub(a.Since)), text)
	}
	return text
}

// core is the text of the trouble in an alert's message.
func core(a event.Alert) string {
	if rest, ok := strings.CutPrefix(a.Message, stillSince); ok {
		if _, text, ok := strings.Cut(rest, stillEnd); ok {
			return text
		}
	}
	return a.Message
}

// describe says what the accounts of an alert have, or had; had are those that
// have it no more.
func describe(a event.Alert, had []event.Affected) string {
	list := a.Affected
	switch {
	case a.State == event.AlertRecovered && len(list) > 1:
		return fmt.Sprintf("%s at %s: %d accounts had this trouble, and none has it now", words(a.Type), a.Provider, len(list))
	case len(list) == 1 && list[0].Message != "":
		return list[0].Message + wellAgain(a, had)
	}
	// Who is new to the list comes first.
	var names, earlier []string
	for _, m := range list {
		if m.Version == a.Version {
			names = append(names, m.Account)
		} else {
			earlier = append(earlier, m.Account)
		}
	}
	names = append(names, earlier...)
	text := fmt.Sprintf("%s at %s %s: %s", counted(len(list), "account", "accounts"), a.Provider, trait(a.Type), some(names))
	if at := slices.IndexFunc(list, func(m event.Affected) bool { return m.Error != "" }); at >= 0 {
		text += "; the first error: " + list[at].Error
	}
	return text + wellAgain(a, had) + "; " + todo(a.Type)
}

// wellAgain names those that have left the list of an alert that lasts.
func wellAgain(a event.Alert, had []event.Affected) string {
	left := slices.DeleteFunc(slices.Clone(had), func(m event.Affected) bool { return m.Version != a.Version })
	if a.State != event.AlertRepeated || len(left) == 0 {
		return ""
	}
	return "; it is over for " + some(accountsOf(left))
}

func accountsOf(list []event.Affected) []string {
	names := make([]string, len(list))
	for i, m := range list {
		names[i] = m.Account
	}
	return names
}

// trait is what is wrong with several accounts.
func trait(t event.Type) string {
	switch t {
	case event.RefreshFailing:
		return "can't be refreshed"
	case event.NeedsLogin:
		return "need a login"
	case event.LoginDueSoon:
		return "need a login soon"
	case event.LoginUnknown:
		return "have logins that end, and nobody knows when"
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
	return "have trouble (" + words(t) + ")"
}

// todo is what to do about it.
func todo(t event.Type) string {
	step := ""
	switch t {
	case event.RefreshFailing:
		step = "they are tried again all the time; look at the network and at the broker's status page; "
	case event.NeedsLogin, event.LoginDueSoon:
		step = "log in to each with: tokenkeeper login ACCOUNT; "
	case event.LoginUnknown:
		step = "say of each when it was made with: tokenkeeper import ACCOUNT --login-time TIME; "
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

func words(t event.Type) string { return strings.ReplaceAll(string(t), "_", " ") }

// span is a duration for people: no more than two of its units.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
