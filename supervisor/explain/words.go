package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// mostSentences are said.
const mostSentences = 8

// words are what a person is told.
type words struct {
	q    Question
	then *story
	// more: further attempts may have failed than the history tells.
	more bool
}

// say is the answer in sentences; now is the story until the moment of the question.
func (w words) say(e Explanation, now *story) []string {
	first, last := []string{w.verdict()}, []string{}
	if l, ok := w.then.next(); ok && e.Verdict != Valid {
		last = append(last, fmt.Sprintf("The next token came at %s: version %d, %s.", w.time(l.Time), l.Version, gotBy(l.Type)))
	}
	last = append(last, w.todo(now))
	body := w.reasons()
	switch {
	case e.Verdict != Valid && len(w.earlier()) > 0:
		body = append(body, w.earlier()...)
	case e.Verdict == None && len(body) == 0 && !w.neverHad():
		body = append(body, "Why no other token came, the history does not tell.")
	case e.Verdict == Unknown && w.then.token.known && !w.then.token.until.IsZero(): // which of it was lost is said below
	case e.Verdict == Unknown && w.neverHad() && !w.then.came.IsZero():
		body = append(body, "Its next event tells, as a refresh or a delivery. If it was renamed, what came before is told of its earlier name.")
	case e.Verdict == Unknown && w.neverHad() && w.then.crowded:
		body = append(body, "Its next event tells, as a refresh or a delivery.")
	case e.Verdict == Unknown:
		body = append(body, "The history is written while a supervisor runs, and its oldest part goes when it is full; what is older may be in the log.")
	}
	switch {
	case w.then.departed != nil:
		body = append(body, w.then.departed.before(w))
	case w.then.token.known:
		body = append(body, w.delivered()...)
	case e.Verdict == None && w.then.standing == "new" && !w.then.came.IsZero():
		body = append(body, fmt.Sprintf("It had none either when it came into the configuration at %s.", w.time(w.then.came)))
	case e.Verdict == None && w.then.standing == "new":
		body = append(body, fmt.Sprintf("It had none either when the supervisor started; the history begins at %s.", w.time(w.then.from)))
	case e.Verdict == None:
		body = append(body, fmt.Sprintf("Of an earlier token nothing is known: the history begins at %s.", w.time(w.then.from)))
	}
	if n := len(w.then.lost); n > 0 {
		l := w.then.lost[n-1]
		body = append(body, w.at(l.Time, l.Message))
	}
	body = body[:min(len(body), mostSentences-len(first)-len(last))]
	return slices.Concat(first, body, last)
}

// time is one of the day that is asked about, or of another one with its date.
func (w words) time(t time.Time) string {
	t = t.In(w.q.Now.Location())
	if about := w.q.At.In(t.Location()); about.YearDay() == t.YearDay() && about.Year() == t.Year() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// at is what was said at a moment.
func (w words) at(t time.Time, text string) string {
	return fmt.Sprintf("At %s: %s.", w.time(t), w.then.clean(text))
}

// neverHad says whether that there was no token is all that there is to tell.
func (w words) neverHad() bool { return !w.then.token.known }

func gotBy(t event.Type) string {
	switch t {
	case event.Refreshed:
		return "refreshed"
	case event.LoggedIn:
		return "by a login"
	case event.Imported:
		return "imported"
	case event.Adopted:
		return "brought by another program"
	case event.Restored:
		return "taken back from a sink"
	case event.Delivered:
		return "delivered"
	case event.StoreRestored:
		return "taken from a backup"
	}
	return "stored"
}

// token names the newest one.
func (w words) token() string {
	t := w.then.token
	text := "a token whose beginning is not known"
	if t.version > 0 {
		text = fmt.Sprintf("version %d", t.version)
	}
	if !t.from.IsZero() {
		text += fmt.Sprintf(", %s at %s", gotBy(t.by), w.time(t.from))
	}
	return text
}

// verdict is the first sentence.
func (w words) verdict() string {
	s, at := w.then, w.q.At.In(w.q.Now.Location())
	stamp, account := at.Format("2006-01-02 15:04:05 MST"), "account "+w.q.Account
	switch verdict := s.verdict(); {
	case s.from.IsZero():
		return fmt.Sprintf("What %s had at %s is not known: there is no history.", account, stamp)
	case at.Before(s.from):
		return fmt.Sprintf("What %s had at %s is not known: the history begins at %s.", account, stamp, w.time(s.from))
	case s.departed != nil:
		return fmt.Sprintf("At %s %s was there no more: %s.", stamp, account, s.departed.since(w))
	case verdict == Valid:
		lives := "lives"
		if !s.token.until.After(w.q.Now) {
			lives = "lived"
		}
		return fmt.Sprintf("At %s %s had a valid token: %s, which %s until %s.", stamp, account, w.token(), lives, w.time(s.token.until))
	case verdict == None && s.token.known && s.token.until.After(s.at):
		return fmt.Sprintf("At %s %s had no valid token: the broker had ended the session of %s, which would have lived until %s.",
			stamp, account, w.token(), w.time(s.token.until))
	case verdict == None && s.token.known:
		return fmt.Sprintf("At %s %s had no valid token: %s, had ended at %s, %s before.",
			stamp, account, w.token(), w.time(s.token.until), moment.Span(at.Sub(s.token.until)))
	case verdict == None && s.isUnconfigured():
		return fmt.Sprintf("At %s %s had no token that is known, and was not configured.", stamp, account)
	case verdict == None:
		return fmt.Sprintf("At %s %s had no token yet: nobody has logged in, and none was imported.", stamp, account)
	case s.token.known && !s.token.until.IsZero():
		return fmt.Sprintf("Whether %s had a valid token at %s is not known: %s, had ended at %s, and what came then could not be written.",
			account, stamp, w.token(), w.time(s.token.until))
	case s.token.known:
		return fmt.Sprintf("Whether %s had a valid token at %s is not known: %s, has an end that nobody knows.", account, stamp, w.token())
	}
	since := "from " + w.time(s.from) + " on"
	if !s.came.IsZero() {
		since = "since it came into the configuration at " + w.time(s.came)
	}
	text := fmt.Sprintf("What account %[1]s had at %[2]s is not known: %[3]s the history tells nothing of account %[1]s", w.q.Account, stamp, since)
	if s.crowded {
		text += fmt.Sprintf("; how each account stands when a supervisor starts is noted of %d at most", history.MostStanding)
	}
	return text + "."
}

// reasons are the sentences about what was met, the weightiest first.
func (w words) reasons() (all []string) {
	groups := w.then.grouped()
	attempts := slices.DeleteFunc(slices.Clone(groups), func(g []met) bool { return !g[0].class.isAttempt() })
	told := false
	for _, g := range groups {
		if g[0].class.isAttempt() {
			if !told {
				all = append(all, w.attempts(attempts, strings.Join(all, " "))...)
			}
			told = true
		} else if text := w.reason(g); text != "" {
			if isOver(g) {
				text += fmt.Sprintf(" That was over at %s.", w.time(g[len(g)-1].over))
			}
			all = append(all, text)
		}
	}
	return all
}

// attempts are those that failed; why the last one did may have been told before.
func (w words) attempts(groups [][]met, told string) []string {
	lines := []met{}
	for _, g := range groups {
		lines = append(lines, g...)
	}
	slices.SortStableFunc(lines, func(a, b met) int { return a.line.Time.Compare(b.line.Time) })
	first, last := lines[0], lines[len(lines)-1].line
	why := w.then.clean(last.Message)
	isTold := strings.Contains(told, why)
	if times(lines) == 1 {
		text := fmt.Sprintf("One attempt at %s failed: it %s", w.time(last.Time), first.class.one)
		if !isTold {
			text += ": " + why
		}
		return []string{text + "."}
	}
	how := "all " + groups[0][0].class.many
	if w.more {
		how = "all of those " + groups[0][0].class.many
	}
	if len(groups) > 1 {
		var parts []string
		for _, g := range groups {
			ended := g[0].class.many
			if times(g) == 1 {
				ended = g[0].class.one
			}
			parts = append(parts, fmt.Sprintf("%d %s", times(g), ended))
		}
		how = strings.Join(parts, ", ")
	}
	many := fmt.Sprintf("%d attempts from %s to %s failed", times(lines), w.time(first.began()), w.time(last.Time))
	if w.more {
		many = fmt.Sprintf("At least %d attempts from %s on failed, the last that is noted at %s", times(lines), w.time(first.began()), w.time(last.Time))
	}
	all := []string{many + ": " + how + "."}
	if !isTold {
		all = append(all, fmt.Sprintf("The last of them: %s.", why))
	}
	return all
}

// reason is of what is no attempt; "": it is said elsewhere.
func (w words) reason(g []met) string {
	first, last, n := g[0].began(), g[len(g)-1].line, times(g)
	switch key := g[0].class.key; key {
	case notRunning.key:
		return w.gap(*w.then.missing())
	case unconfigured.key, neverLogged.key:
		if w.neverHad() {
			return ""
		}
		return "The account was not configured then."
	case asleep.key:
		return fmt.Sprintf("The machine slept, or its clock was set ahead, for %s until %s.", last.Message, w.time(last.Time))
	case setBack.key:
		return fmt.Sprintf("At %s the clock of this machine was set back by %s.", w.time(last.Time), last.Message)
	case "forced":
		return fmt.Sprintf("At %s user %d asked for a refresh by force.", w.time(last.Time), last.Act.Caller.UID)
	case "provider_crashed":
		how := "at " + w.time(last.Time)
		if n > 1 {
			how = fmt.Sprintf("%d times from %s to %s, and the last time", n, w.time(first), w.time(last.Time))
		}
		return fmt.Sprintf("The process of provider %s ended %s: %s.", w.then.provider, how, w.then.clean(last.Message))
	}
	if n > 1 {
		return fmt.Sprintf("%d times from %s to %s: %s.", n, w.time(first), w.time(last.Time), w.then.clean(last.Message))
	}
	return w.at(last.Time, last.Message)
}

func (w words) gap(g gap) string {
	const sudden = "without a word (killed, crashed, or the machine went down)"
	observed := ""
	if g.to.IsZero() && !w.q.Observed.IsZero() {
		observed = fmt.Sprintf(" Since %s one has been running that only observes, and it keeps neither tokens nor a history.", w.time(w.q.Observed))
	}
	switch {
	case g.to.IsZero() && g.sudden:
		return fmt.Sprintf("No supervisor answers: the last one was heard of at %s, and has ended %s.", w.time(g.from), sudden) + observed
	case g.to.IsZero():
		return fmt.Sprintf("No supervisor has been running since %s: it was stopped.", w.time(g.from)) + observed
	case g.sudden:
		return fmt.Sprintf("The supervisor ended %s some time after %s, and was started again at %s.", sudden, w.time(g.from), w.time(g.to))
	}
	return fmt.Sprintf("No supervisor was running from %s to %s: it was stopped.", w.time(g.from), w.time(g.to))
}

// delivered says which sinks have what.
func (w words) delivered() (all []string) {
	version := w.then.token.version
	var have []string
	for _, d := range w.then.deliveries() {
		switch {
		case version > 0 && d.Version == version:
			have = append(have, fmt.Sprintf("to %s at %s", d.Sink, w.time(d.At)))
		case w.then.lags(d):
			all = append(all, w.behind(d))
		case version > 0 && d.Version > version: // the store was restored
			all = append(all, fmt.Sprintf("Sink %s has version %d, of %s, which is newer.", d.Sink, d.Version, w.time(d.At)))
		}
	}
	const named = 4
	if more := len(have) - named; more > 0 {
		have = append(have[:named], fmt.Sprintf("to %d more", more))
	}
	switch {
	case len(have) > 0:
		all = append(all, fmt.Sprintf("Version %d was delivered %s.", version, listed(have)))
	case len(all) == 0:
		all = append(all, "Of a delivery of it nothing is known.")
	}
	return all[:min(len(all), 3)]
}

// listed joins parts with commas and an and.
func listed(parts []string) string {
	if n := len(parts) - 1; n > 0 {
		return strings.Join(parts[:n], ", ") + " and " + parts[n]
	}
	return strings.Join(parts, "")
}

// lags says whether a sink does not have the newest token; of one that has missed many, and
// does not fail, nobody knows whether there still is one.
func (s *story) lags(d Delivery) bool {
	return d.Version != s.token.version && d.Error != "" || d.Version+1 == s.token.version
}

// behind is of a sink that does not have the newest token.
func (w words) behind(d Delivery) string {
	text := fmt.Sprintf("Sink %s has nothing of it", d.Sink)
	if d.Version > 0 {
		text = fmt.Sprintf("Sink %s still has version %d", d.Sink, d.Version)
	}
	if until := w.then.ended[d.Version]; !until.IsZero() {
		ends := "ends"
		if !until.After(w.q.At) {
			ends = "ended"
		}
		text += fmt.Sprintf(", which %s at %s", ends, w.time(until))
	}
	if d.Error == "" {
		return text + "; why, is not known."
	}
	return text + ": " + d.Error + "."
}

// todo is what to do now; a command at its end can be copied.
func (w words) todo(now *story) string {
	groups, verdict := slices.DeleteFunc(now.grouped(), isOver), now.verdict()
	put := strings.NewReplacer("ACCOUNT", w.q.Account, "PROVIDER", now.provider).Replace
	if now.departed != nil {
		return put(now.departed.todo())
	}
	n := len(now.gaps)
	stopped := n > 0 && now.gaps[n-1].to.IsZero() || w.q.Cut && w.q.Silent
	if observed := !w.q.Observed.IsZero(); (stopped || observed) && !now.isUnconfigured() { // of one that there is not, a start brings nothing
		start, paused := notRunning.todo, ""
		if observed {
			start = "End the one that only observes, and start it without --observe. What that one sees is in: tokenkeeper status ACCOUNT"
		}
		if now.paused != nil {
			start, paused = strings.TrimSuffix(start, "."), "; it is paused then, too: tokenkeeper resume ACCOUNT"
		}
		return put(start + paused)
	}
	if now.isUnconfigured() && now.hasMet(revokeUnknown) {
		return put(revokeLeft)
	}
	const person = 8 // the weight up to which nothing gets better by itself
	switch {
	case len(groups) > 0 && groups[0][0].class.key == notRunning.key:
		groups = groups[1:] // one runs again
	case len(groups) > 0 && groups[0][0].class.key == asleep.key && verdict == Valid:
		groups = groups[1:]
	}
	if verdict != Valid {
		if len(groups) > 0 && groups[0][0].class.key == neverLogged.key && len(now.instead) == 1 {
			return put(fmt.Sprintf("If it is account %s by another name: tokenkeeper accounts rename %[1]s ACCOUNT. Otherwise log in: tokenkeeper login ACCOUNT", now.instead[0]))
		}
		if len(groups) > 0 && groups[0][0].class.todo != "" {
			return put(groups[0][0].class.todo)
		}
		return put("See how it is now: tokenkeeper status ACCOUNT; and what is wrong with this machine: tokenkeeper doctor")
	}
	if len(groups) > 0 && groups[0][0].class.weight <= person {
		return put(groups[0][0].class.todo)
	}
	for _, d := range now.deliveries() {
		if now.lags(d) {
			return now.sinkTodo(d)
		}
	}
	does := "Nothing has to be done"
	if len(groups) > 0 && groups[0][0].class.isAttempt() {
		does = "It is tried again by itself"
	}
	return fmt.Sprintf("%s: version %d lives until %s.", does, now.token.version, w.time(now.token.until))
}

func (s *story) sinkTodo(d Delivery) string {
	if h := s.sinks[d.Sink]; h.failed != nil && h.failed.Type == event.SinkAbsent {
		return fmt.Sprintf("Once the consumer of sink %s starts, it gets version %d; if it runs, see: tokenkeeper sinks test %[1]s", d.Sink, s.token.version)
	}
	return fmt.Sprintf("See what ails sink %s: tokenkeeper sinks test %[1]s", d.Sink)
}
