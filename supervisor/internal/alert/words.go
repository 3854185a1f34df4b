package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// phrases are what people are told of one kind of trouble.
type phrases struct {
	// many is what is wrong with several accounts, and todo what to do about it: in both,
	// NEEDS is what they need, and EACH what gives it to them.
	many, todo string
	// over is what is well again; %s is what had the trouble.
	over string
}

func phrasesOf(t event.Type) phrases {
	switch t {
	case event.RefreshFailing:
		return phrases{"can't be refreshed", "they are tried again all the time; look at the network and at the broker's status page; ",
			"account %s is refreshed again"}
	case event.NeedsLogin:
		return phrases{"need NEEDS", "EACH; ", "account %s is logged in again"}
	case event.LoginDueSoon:
		return phrases{"need NEEDS soon", "EACH; ", "account %s needs no login soon"}
	case event.OutageBudget:
		return phrases{"have consumers that would be without a token sooner than planned, if no more came",
			"see what each sink has of them, and why: tokenkeeper status ACCOUNT; ", "account %s: its consumers have a token for as long as planned"}
	case event.LoginUnknown:
		return phrases{"have logins that end, and nobody knows when", "say of each when it was made with: tokenkeeper import ACCOUNT --login-time TIME; ",
			"account %s: it is known whether and when its login ends, or it has ended"}
	case event.LoginWaits:
		return phrases{"wait for a decision about the login of another person", "decide of each with: tokenkeeper login ACCOUNT --confirm, or --discard; ",
			"account %s: no login of another person waits any more"}
	case event.GrantedElsewhere:
		return phrases{"are not refreshed, because their tokens were granted to another client or environment",
			"change the configuration back, or: EACH; ",
			"account %s: its token was granted to what the configuration says"}
	case event.PauseForgotten:
		return phrases{"are paused, and their tokens are over, or their logins will be soon", "to go on: tokenkeeper resume ACCOUNT; ",
			"account %s is not paused any more, or has a token that lives"}
	case event.Ambiguous:
		return phrases{"have had a refresh of which nobody knows the outcome", "the same tokens are tried again by themselves; ",
			"account %s: it is not in doubt any more which refresh token is its newest"}
	case event.RivalRefresher:
		return phrases{"are refreshed by another program too", "find that program and stop it; ",
			"nothing more was seen of another program that refreshes the grant of %s"}
	case event.FoundRefused:
		return phrases{"were brought a token that the broker refused", "look who writes their token files; ",
			"no other token was refused that was brought to account %s"}
	case event.UnknownToken:
		return phrases{"wait for a decision about the token in their files", "", "account %s goes on, and no unknown token stands in its shared file any more"}
	case event.WrongZone:
		return phrases{"have files with local times that can't be right", "", "account %s: the times in its file can be right"}
	case event.SharedFileHeld:
		return phrases{"can't have their shared files locked", "", "account %s: its shared file is locked by nobody else for long"}
	case event.Untrusted:
		return phrases{"are not refreshed, because others can change files that steer their provider", "", "account %s: nobody else can change what steers its provider"}
	case event.SessionCompeting:
		return phrases{"have had their sessions taken by other logins", "end those; nothing is taken back by itself; ", "account %s: no other login has its session any more"}
	case event.SessionGone:
		return phrases{"have sessions that are over", "a new session may need NEEDS; ", "account %s has a session again"}
	case event.SessionUnheard:
		return phrases{"have sessions of which nothing is heard", "they are asked again all the time; look at the network and at the broker's status page; ",
			"account %s: its session is kept alive again"}
	case event.StoreRestored:
		return phrases{"go on with a restored token that may be spent", "", "account %s has a token that was made since"}
	case event.ProviderCrashing, event.ProviderParked:
		return phrases{over: "provider %s runs again"}
	case event.SinkCrashing, event.SinkParked:
		return phrases{over: "sink %s runs again"}
	case event.SinkFailing, event.SinkDisabled:
		return phrases{over: "sink %s takes deliveries again"}
	case event.SinkGuarded:
		return phrases{over: "sink %s holds no unknown token any more"}
	case event.SinkUnmet:
		return phrases{over: "the consumer of sink %s has come"}
	case event.SinkAway:
		return phrases{over: "the consumer of sink %s is there again"}
	case event.Overload:
		return phrases{over: "every account of provider %s is refreshed in time again"}
	case event.PlanMended:
		return phrases{over: "the plan of %s has been in order since"}
	case event.DiskTrouble:
		return phrases{over: "the disk takes everything again"}
	case event.StoreDisplaced:
		return phrases{over: "the state directory is left alone"}
	case event.OtherMachine:
		return phrases{over: "the store belongs to this machine"}
	case event.ReloadFailed:
		return phrases{over: "what runs is what its configuration says"}
	}
	return phrases{many: "have trouble (" + t.Words() + ")"}
}

// needed puts into a phrase what the accounts of a list need.
func needed(phrase string, list []event.Affected) string {
	needs := make([]advice.Means, len(list))
	for n, m := range list {
		needs[n] = advice.Means(m.Needs)
	}
	return strings.NewReplacer("NEEDS", advice.NeededBy(needs), "EACH", advice.ForEach(needs)).Replace(phrase)
}

// wellAgain says that a trouble is over.
func wellAgain(t event.Type, of string) string {
	return strings.Replace(phrasesOf(t).over, "%s", of, 1)
}

// sentence is the message of an alert in its state.
func sentence(a event.Alert, text string) string {
	switch a.State {
	case event.AlertRepeated:
		return "still, since " + moment.Stamp(a.Since) + ": " + text
	case event.AlertRecovered:
		return fmt.Sprintf("over after %s: %s", span(a.ChangedAt.Sub(a.Since)), text)
	}
	return text
}

// describe says what the members of an alert have, or had; had are those that
// have it no more.
func describe(a event.Alert, had []event.Affected) string {
	list := a.Affected
	left := ""
	if a.State == event.AlertRepeated {
		if gone := namesOf(had, a.Version, true); len(gone) > 0 {
			left = "; it is over for " + some(gone)
		}
	}
	switch {
	case len(list) == 1 && list[0].Message != "":
		return list[0].Message + left
	case a.State == event.AlertRecovered:
		return fmt.Sprintf("%s at %s: %d accounts had this trouble, and none has it now", a.Type.Words(), a.Provider, len(list))
	}
	p := phrasesOf(a.Type)
	// Who is new to the list comes first.
	names := append(namesOf(list, a.Version, true), namesOf(list, a.Version, false)...)
	text := fmt.Sprintf("%d accounts at %s %s: %s", len(list), a.Provider, needed(p.many, list), some(names))
	if at := slices.IndexFunc(list, func(m event.Affected) bool { return m.Error != "" }); at >= 0 {
		text += "; the first error: " + list[at].Error
	}
	return text + left + "; " + needed(p.todo, list) + "to see every account run: tokenkeeper status; to see what is open run: tokenkeeper alerts"
}

// namesOf are the accounts that were told of last in a version, or in another.
func namesOf(list []event.Affected, version uint64, in bool) (names []string) {
	for _, m := range list {
		if (m.Version == version) == in {
			names = append(names, m.Account)
		}
	}
	return names
}

// some names a few of many.
func some(names []string) string {
	if more := len(names) - few; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), more)
	}
	return strings.Join(names, ", ")
}

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
