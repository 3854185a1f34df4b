package explain

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// end notes that a trouble is over, as an alert tells.
func (s *story) end(of event.Type, at time.Time) {
	switch of {
	case event.OtherMachine:
		s.held = nil
	case event.ProviderParked:
		s.parked = nil
	}
	if isSession := of == event.SessionGone || of == event.NeedsLogin; isSession && !s.needsLogin(of) {
		s.gone = nil
	}
	for n := range s.met {
		if m := &s.met[n]; m.over.IsZero() && (m.line.Type == of || m.class.key == classes[of].key) {
			m.over = at
		}
	}
}

// isGone says whether a line tells that the broker has ended the session of a token: where a
// new one takes a login, that is needed.
func isGone(l history.Line) bool {
	return l.Type == event.SessionGone || l.Type == event.NeedsLogin && strings.Contains(l.Message, "session of its token is over")
}

// needsLogin says whether a login is needed, whatever else is over: the alert of a session that
// is gone ends when that is told instead.
func (s *story) needsLogin(over event.Type) bool {
	return slices.ContainsFunc(s.met, func(m met) bool {
		return m.line.Type == event.NeedsLogin && m.over.IsZero() && m.line.Type != over
	})
}

// mayBeLost says whether a newer token may be among what could not be written: some was not
// since the newest one came, and nothing else tells that none came.
func (s *story) mayBeLost() bool {
	later := func(l history.Line) bool { return l.Time.After(s.token.from) }
	tells := func(m met) bool { return m.over.IsZero() && m.class.weight < classes[event.ReloadFailed].weight }
	return slices.ContainsFunc(s.lost, later) && !slices.ContainsFunc(s.met, tells) &&
		s.held == nil && s.paused == nil && s.parked == nil && s.missing() == nil
}

// cut notes that what came after the last line can't be read.
func (s *story) cut(q Question) {
	if n := len(s.lines); q.Cut && n > 0 && !s.at.Before(s.lines[n-1].Time) {
		after := s.lines[n-1].Time.Add(time.Nanosecond)
		s.lost = append(s.lost, history.Line{Event: event.Event{Time: after, Type: history.Lost, Message: "what the history tells after that can't be read"}})
	}
}

// isLeftBy says whether an alert lasts for others alone: one account is all that it has, or
// it names those for which it is over.
func (s *story) isLeftBy(l history.Line) bool {
	if l.Account != "" && l.Account != s.account {
		return true
	}
	_, gone, _ := strings.Cut(l.Message, "; it is over for ")
	gone, _, _ = strings.Cut(gone, "; ")
	return Names(gone, s.account)
}

// Names says whether a text of several accounts names one.
func Names(text, account string) bool {
	return regexp.MustCompile(`(^|[\s,:])` + regexp.QuoteMeta(account) + `($|[\s,;:])`).MatchString(text)
}

// lastAttempt is when the last one failed of what was met.
func lastAttempt(all []met) (last time.Time) {
	for _, m := range all {
		if m.class.isAttempt() && m.line.Time.After(last) {
			last = m.line.Time
		}
	}
	return last
}
