package notify

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// maxBody of a message in characters: what a phone shows without opening it is
// far less, and what any service takes is more.
const maxBody = 700

// message is what people read.
type message struct {
	title, body string
	// key names the trouble and over says that it has ended, for services that
	// keep incidents; "" for what is no alert.
	key  string
	over bool
}

// phrases are the titles of one type of alert; %s is what it concerns, NEEDS what that
// needs, and HAS what it has again.
type phrases struct{ begins, lasts, ends string }

var titles = map[event.Type]phrases{
	event.NeedsLogin:       {"%s needs NEEDS", "%s still needs NEEDS", "%s HAS"},
	event.LoginDueSoon:     {"%s needs NEEDS soon", "%s still needs NEEDS soon", "%s: the alert of its login's end is over"},
	event.OutageBudget:     {"%s: its consumers have a token for little time", "%s: its consumers still have a token for little time", "%s: its consumers have a token for long enough"},
	event.LoginUnknown:     {"%s: nobody knows when its login ends", "%s: nobody knows yet when its login ends", "%s: it is known when its login ends"},
	event.RefreshFailing:   {"%s can't be refreshed", "%s still can't be refreshed", "%s: the alert of its refreshes is over"},
	event.LoginWaits:       {"%s: another person has logged in", "%s: another person's login still waits", "%s: no other person's login waits any more"},
	event.PauseForgotten:   {"%s is paused, and its token ends", "%s is still paused, and its token ends", "%s: the alert of its pause is over"},
	event.GrantedElsewhere: {"%s is not refreshed: its token was granted elsewhere", "%s is still not refreshed: granted elsewhere", "%s: its token may be refreshed again"},
	event.Ambiguous:        {"%s: a refresh got lost", "%s: a refresh is still lost", "%s: the lost refresh is settled"},
	event.RivalRefresher:   {"%s is refreshed by another program too", "%s is still refreshed by another program", "%s is refreshed by nobody else any more"},
	event.FoundRefused:     {"%s: a token that was found was refused", "%s: a token that was found stays refused", "%s: no other token that was found was refused"},
	event.UnknownToken:     {"%s: an unknown token stands in its file", "%s: an unknown token still stands in its file", "%s: no unknown token stands in its file any more"},
	event.SessionCompeting: {"%s: another login has its session", "%s: another login still has its session", "%s: the alert of its session is over"},
	event.SessionGone:      {"%s has lost its session", "%s still has no session", "%s: the alert of its session is over"},
	event.SessionUnheard:   {"%s: nothing is heard of its session", "%s: still nothing is heard of its session", "%s: the alert of its session is over"},
	event.WrongZone:        {"%s: the time zone of its file is wrong", "%s: the time zone of its file is still wrong", "%s: the times in its file can be right"},
	event.SharedFileHeld:   {"%s: its shared file can't be locked", "%s: its shared file still can't be locked", "%s: its shared file can be locked again"},
	event.ProviderCrashing: {"provider %s keeps crashing", "provider %s still keeps crashing", "provider %s runs again"},
	event.ProviderParked:   {"provider %s can't run", "provider %s still can't run", "provider %s runs again"},
	event.Overload:         {"provider %s: too many accounts to refresh in time", "provider %s: still too many accounts to refresh in time", "provider %s: accounts are refreshed in time again"},
	event.PlanMended:       {"provider %s: its plan was wrong", "provider %s: its plan was wrong again", "provider %s: its plan is in order"},
	event.SinkFailing:      {"sink %s fails", "sink %s still fails", "sink %s works again"},
	event.SinkUnmet:        {"sink %s: its consumer has never come", "sink %s: its consumer has still not come", "sink %s: its consumer has come"},
	event.SinkAway:         {"sink %s: its consumer stays away", "sink %s: its consumer still stays away", "sink %s: its consumer is there again"},
	event.SinkDisabled:     {"sink %s is disabled", "sink %s is still disabled", "sink %s is enabled again"},
	event.SinkGuarded:      {"sink %s holds a token that nobody here knows", "sink %s still holds a token that nobody here knows", "sink %s holds no unknown token any more"},
	event.SinkCrashing:     {"sink %s keeps crashing", "sink %s still keeps crashing", "sink %s runs again"},
	event.SinkParked:       {"sink %s can't run", "sink %s still can't run", "sink %s runs again"},
	event.Untrusted:        {"%s: others can change what steers its provider", "%s: others can still change what steers its provider", "%s: nobody else can change what steers its provider"},
	event.DiskTrouble:      {"trouble with the disk%.0s", "still trouble with the disk%.0s", "the disk works again%.0s"},
	event.OtherMachine:     {"another machine's store: nothing is refreshed%.0s", "still another machine's store: nothing is refreshed%.0s", "the store is this machine's%.0s"},
	event.ReloadFailed:     {"the configuration could not be read again%.0s", "the configuration can still not be read again%.0s", "what runs is what its configuration says%.0s"},
	event.StoreDisplaced:   {"somebody meddles with the state directory%.0s", "somebody still meddles with the state directory%.0s", "the state directory is left alone%.0s"},
	event.StoreRestored:    {"the store was restored%.0s", "the store was restored%.0s", "the store is in order%.0s"},
}

// compose writes the message of a notice.
func compose(n sink.Notice, host string) message {
	var m message
	var body string
	switch {
	case n.Alert != nil:
		a := n.Alert
		m.title, m.key, m.over = alertTitle(*a), a.Key, a.State == event.AlertRecovered
		body = a.Message // which says how long it has lasted
	case n.Event != nil:
		m.title, body = words(n.Event.Type)+concerning(n.Event.Account, n.Event.Provider, n.Event.Sink), n.Event.Message
	}
	if n.Test {
		m.title, m.key = "a test message", ""
		body = "Somebody asked for this message to see whether it arrives.\n" + cmp.Or(body, "Nothing is wrong.")
	}
	m.title = "Tokenkeeper: " + printable(m.title)
	m.body = shorten(printable(body), maxBody)
	if host != "" {
		m.body += "\nFrom " + printable(host)
	}
	return m
}

func alertTitle(a event.Alert) string {
	subject := a.Account
	if subject == "" {
		subject = a.Provider
	}
	if a.Accounts > 1 {
		subject = fmt.Sprintf("%s (%d accounts)", a.Provider, a.Accounts)
	}
	if a.Sink != "" {
		subject = a.Sink
	}
	p, known := titles[a.Type]
	if !known {
		p = phrases{words(a.Type) + ": %s", words(a.Type) + " lasts: %s", words(a.Type) + " is over: %s"}
	}
	format := p.begins
	switch a.State {
	case event.AlertRepeated:
		format = p.lasts
	case event.AlertRecovered:
		format = p.ends
	}
	var needs []advice.Means
	for _, m := range a.Affected {
		needs = append(needs, advice.Means(m.Needs))
	}
	format = strings.NewReplacer("NEEDS", advice.NeededBy(needs), "HAS", advice.Has(needs)).Replace(format)
	return strings.TrimSuffix(fmt.Sprintf(format, subject), ": ")
}

func words(t event.Type) string { return strings.ReplaceAll(string(t), "_", " ") }

func concerning(names ...string) string {
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

// printable replaces what could end a header or move a cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func shorten(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// showsTitle says whether a service shows the parameter "title" as one. To the
// others it means something else, or nothing, or is an error.
func showsTitle(service string, query url.Values) bool {
	switch service {
	case "bark", "discord", "gotify", "join", "lark", "notifiarr", "ntfy", "opsgenie",
		"pushbullet", "pushover", "slack", "smtp", "teams", "telegram":
		return true
	case "generic":
		for key, values := range query {
			if strings.EqualFold(key, "template") && values[0] != "" {
				return true
			}
		}
	}
	return false
}

// forService is the message as the service wants it.
func (m message) forService(service string, titled bool) (text string, params types.Params) {
	params = types.Params{}
	text = m.title + "\n" + m.body
	if titled {
		text = m.body
		params.SetTitle(m.title)
	}
	// Services that keep incidents know by the key that it is one and the same.
	switch {
	case m.key == "":
	case service == "pagerduty":
		params["dedup_key"] = "tokenkeeper:" + m.key
		if m.over {
			params["action"] = "resolve"
		}
	case service == "opsgenie":
		params["alias"] = "tokenkeeper:" + m.key
	}
	return text, params
}
