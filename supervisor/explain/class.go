package explain

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// class is a kind of cause.
type class struct {
	key string
	// weight orders causes, the lightest number first.
	weight int
	// of is what is said of attempts that ended so, "" of what is no attempt: one, and many.
	one, many string
	// todo is what to do about it; ACCOUNT and PROVIDER are put in.
	todo string
}

func (c class) isAttempt() bool { return c.one != "" }

const logIn = "Log in: tokenkeeper login ACCOUNT (or bring a token: tokenkeeper import ACCOUNT FILE)."

var (
	unconfigured = class{key: "not_configured", weight: 1, todo: "Write the account into the configuration, then run: tokenkeeper reload"}
	notRunning   = class{key: "not_running", weight: 2, todo: "Start it: tokenkeeper run, or its service; the service manager's journal says why it does not run."}
	held         = class{key: "other_machine", weight: 3, todo: "If this machine is to keep the tokens from now on, run: tokenkeeper adopt"}
	refused      = class{key: "refused", weight: 4, todo: logIn}
	revoked      = class{key: "revoked", weight: 4, todo: logIn}
	loginEnded   = class{key: "login_ended", weight: 4, todo: logIn}
	neverLogged  = class{key: "no_login", weight: 4, todo: logIn}
	isPaused     = class{key: "paused", weight: 5, todo: "Let it go on: tokenkeeper resume ACCOUNT"}
	parked       = class{key: "provider_parked", weight: 7, todo: "Put that right, then run: tokenkeeper restart PROVIDER"}
	setBack      = class{key: "clock", weight: 12, todo: "Set the clock of this machine, and keep it so (NTP): tokenkeeper doctor shows how far it is off."}
	asleep       = class{key: "asleep", weight: 6, todo: "Keep the machine from sleeping."}
	limited      = class{key: "limit", weight: 12, todo: "It is asked again by itself when the broker's limit allows it; how it stands is in: tokenkeeper status ACCOUNT"}
	restored     = class{key: "restored", weight: 13, todo: "If its refresh token is refused, log in: tokenkeeper login ACCOUNT"}
)

// classes of what is told as an event of its own.
var classes = map[event.Type]class{
	event.NeedsLogin:       refused,
	event.Revoked:          revoked,
	event.RevokeUnknown:    revokeUnknown,
	event.LoginFailed:      {key: "login_failed", weight: 5, todo: "Log in again: tokenkeeper login ACCOUNT"},
	event.LoginWaits:       {key: "login_waits", weight: 6, todo: "Decide about the login that waits: tokenkeeper login ACCOUNT --confirm, or --discard"},
	event.UnknownToken:     {key: "unknown_token", weight: 6, todo: "Decide about that token; the ways are in: tokenkeeper status ACCOUNT"},
	event.GrantedElsewhere: {key: "granted_elsewhere", weight: 6, todo: "Change the configuration back and run tokenkeeper reload, or log in: tokenkeeper login ACCOUNT"},
	event.Untrusted:        {key: "untrusted", weight: 6, todo: "Close that to others; what else is open is in: tokenkeeper check"},
	event.RefreshPutOff:    {key: "put_off", weight: 6, todo: "See what is waited for: tokenkeeper status ACCOUNT"},
	event.SessionGone:      {key: "session_gone", weight: 6, todo: logIn},
	event.SessionCompeting: {key: "session_competing", weight: 6, todo: "End the other login, which has the session now."},
	event.DiskTrouble:      {key: "disk", weight: 8, todo: "See to the disk of the state directory; what is wrong with it is in: tokenkeeper doctor"},
	event.StoreDisplaced:   {key: "displaced", weight: 8, todo: "Find who moves files of the state directory: tokenkeeper doctor"},
	event.SharedFileHeld:   {key: "shared_file", weight: 9, todo: "End the program that holds the lock, or its hang; who that is now is in: tokenkeeper status ACCOUNT"},
	event.ProviderStopped:  {key: "provider_crashed", weight: 10, todo: "See in the log why it ends; once that is mended: tokenkeeper restart PROVIDER"},
	event.ProviderCrashing: {key: "provider_crashed", weight: 10, todo: "See in the log why it ends; once that is mended: tokenkeeper restart PROVIDER"},
	event.Ambiguous:        {key: "unanswered", weight: 11, todo: "It is settled by itself as far as it can be; how it stands is in: tokenkeeper status ACCOUNT"},
	event.RivalRefresher:   {key: "rival", weight: 5, todo: "Find the other program and stop it, or give the account a shared_file."},
	event.FoundRefused:     {key: "found_refused", weight: 5, todo: "Look who writes that token, or log in: tokenkeeper login ACCOUNT"},
	event.AnswerSetAside:   {key: "set_aside", weight: 12, todo: "See what is kept: tokenkeeper spool"},
	event.PlanMended:       {key: "late", weight: 12, todo: "If it comes again: tokenkeeper restart PROVIDER, and report it with the log."},
	event.Overload:         {key: "late", weight: 12, todo: "Let more accounts be refreshed at a time: max_in_flight of the provider; see tokenkeeper check"},
	event.ReloadFailed:     {key: "reload_failed", weight: 14, todo: "Correct the configuration (tokenkeeper check), then run: tokenkeeper reload"},
	event.StoreRestored:    restored,
}

// classOf is the class of a trouble; ok is false of what is none.
func classOf(l history.Line) (c class, ok bool) {
	switch l.Type {
	case event.RefreshFailed:
		return attemptClass(l), true
	case event.RefreshPutOff:
		if l.Kind == string(sdk.KindRateLimited) { // by what was asked before, and not by the broker's answer
			return limited, true
		}
	case event.SharedFileHeld:
		if strings.Contains(l.Message, "so nothing was revoked: ") { // which keeps no token from coming
			return class{}, false
		}
	case event.ProviderStopped:
		if l.Next.IsZero() { // as it was told to
			return class{}, false
		}
	case event.NeedsLogin:
		if l.Alert && strings.Contains(l.Message, "was revoked by a person") { // as the event before said
			return revoked, true
		}
		if l.Alert && !strings.Contains(l.Message, "refuse") {
			return loginEnded, true
		}
	case event.Audit:
		if l.Act != nil && l.Act.Name == "refresh" && l.Act.Force {
			return class{key: "forced", weight: 20}, true
		}
		return class{}, false
	}
	c, ok = classes[l.Type]
	return c, ok
}

var (
	httpStatus = regexp.MustCompile(`HTTP ([1-5][0-9][0-9])`)
	// byProxy says by which way it went, of what failed behind the proxy.
	byProxy = regexp.MustCompile(` \(by way of the proxy [^)]*\)`)
)

// attemptClass is how an attempt ended: by its kind first, because of what was sent a token
// may be spent, whatever was in the way of the answer; the words tell apart only what was not.
func attemptClass(l history.Line) class {
	text, again := byProxy.ReplaceAllString(l.Message, ""), "It is tried again by itself; how it stands is in: tokenkeeper status ACCOUNT"
	look := "Look at this machine's network, and run: tokenkeeper doctor"
	status := ""
	if found := httpStatus.FindStringSubmatch(text); found != nil {
		status = found[1]
	}
	c := class{weight: 11, todo: again}
	switch {
	case strings.Contains(text, "dead already"):
		c.key, c.one = "dead_on_arrival", "brought a token that was dead already"
		c.todo = "Look at the clock of this machine (tokenkeeper doctor) and at the broker's status page; it is tried again by itself."
	case l.Kind == string(sdk.KindInvalidGrant):
		c.key, c.one, c.todo = "refused", "was refused (invalid_grant)", logIn
	case l.Kind == string(sdk.KindInvalidClient):
		c.key, c.one = "client_refused", "was refused because of the client (invalid_client)"
		c.weight, c.todo = 6, "Correct client_id and client_secret in the configuration, then run: tokenkeeper reload"
	case l.Kind == string(sdk.KindRateLimited):
		c.key, c.one = "rate_limited", "was told to ask for fewer requests"
		c.todo = "It is asked again when the broker allows it; look what else asks with the same client."
	case l.Kind == string(sdk.KindAmbiguous):
		c.key, c.one = "unanswered", "got no answer that counts"
	case l.Kind == string(sdk.KindNotSent) && strings.Contains(text, "the proxy "):
		c.key, c.one, c.todo = "proxy", "was stopped at the proxy", "Look at the proxy and the setting, and run: tokenkeeper doctor"
	case l.Kind == string(sdk.KindNotSent) && strings.Contains(text, "host name"):
		c.key, c.one, c.todo = "dns", "failed to find the broker's host name", look
	case l.Kind == string(sdk.KindNotSent) && strings.Contains(text, "TLS certificate"):
		c.key, c.one = "tls", "met a TLS certificate that is not trusted"
		c.todo = "Look at the clock of this machine and at what looks into TLS on the way: tokenkeeper doctor"
	case l.Kind == string(sdk.KindNotSent):
		c.key, c.one, c.todo = "not_sent", "could not be sent", look
	case status != "":
		c.key, c.one = "answered", "was answered HTTP "+status
		if status[0] == '5' {
			c.key, c.todo = "server_error", "It is tried again by itself; look at the broker's status page."
		}
	default:
		c.key, c.one = "failed", "failed otherwise"
	}
	c.many = cmp.Or(plural[strings.Fields(c.one)[0]], strings.Fields(c.one)[0]) + strings.TrimPrefix(c.one, strings.Fields(c.one)[0])
	return c
}

var plural = map[string]string{"was": "were"}

// causes are what was met, and what lasts, each class once.
func (s *story) causes() []Cause {
	all := []Cause{}
	for _, g := range s.grouped() {
		first, last := g[0], g[len(g)-1]
		all = append(all, Cause{
			Class: first.class.key, From: first.began(), To: cmp.Or(last.over, last.line.Time), Over: isOver(g), Times: times(g), Message: s.clean(last.line.Message),
		})
	}
	return all
}

// grouped is what may have kept the next token from coming, by class, the weightiest first,
// and last what does so no more. That matters to nobody while there is a valid token.
func (s *story) grouped() (groups [][]met) {
	all := slices.DeleteFunc(slices.Clone(s.met), func(m met) bool { return !m.over.IsZero() && s.verdict() == Valid })
	all = slices.DeleteFunc(all, func(m met) bool { // of one that there is, and after the next reload, it was not that
		return m.line.Type == event.ReloadFailed && (!s.isUnconfigured() || !m.over.IsZero())
	})
	lasting := func(c class, l *history.Line) {
		if l != nil {
			all = append(all, met{class: c, line: *l})
		}
	}
	lasting(held, s.held)
	lasting(isPaused, s.paused)
	lasting(parked, s.parked)
	if s.isUnconfigured() { // nobody gets its token then, valid or not
		all = append(all, met{class: unconfigured, line: history.Line{Event: event.Event{Time: s.at, Message: "it was not configured"}}})
	}
	if s.verdict() != Valid && s.standing == "new" && !s.token.known {
		all = append(all, met{class: neverLogged, line: history.Line{Event: event.Event{Time: s.at, Message: "nobody has logged in"}}})
	}
	if s.standing == "needs_login" && !slices.ContainsFunc(all, func(m met) bool { return m.class.todo == logIn }) && s.token.by == history.Stands {
		all = append(all, met{class: loginEnded, line: history.Line{Event: event.Event{Time: s.token.from, Message: "it needed a login already when the supervisor started"}}})
	}
	if g := s.missing(); g != nil {
		all = append(all, met{class: notRunning, line: history.Line{Event: event.Event{Time: g.from, Message: "no supervisor was running"}}})
	}
	index := map[string]int{}
	for _, m := range all {
		key := m.class.key + m.class.one
		n, ok := index[key]
		if !ok {
			n = len(groups)
			index[key] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], m)
	}
	slices.SortStableFunc(groups, func(a, b []met) int { return cmp.Compare(weight(a), weight(b)) })
	return groups
}

func weight(g []met) int {
	const over = 100
	if isOver(g) {
		return over + g[0].class.weight
	}
	return g[0].class.weight
}
