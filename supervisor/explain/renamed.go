package explain

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// departure is that an account is there no more: it was renamed, or forgotten.
type departure struct {
	line history.Line
	// was is the token that it had until then.
	was token
}

// isDeparture says whether a line tells of one of an account.
func isDeparture(l history.Line, account string) bool {
	return l.From == account || l.Type == event.Forgotten && l.Account == account
}

// depart takes from the account all that it had.
func (s *story) depart(l history.Line) {
	s.departed = &departure{l, s.token}
	s.token, s.standing, s.met, s.gone, s.paused = token{}, "", nil, nil, nil
	clear(s.sinks)
}

// since is the departure in words, with when.
func (d departure) since(w words) string {
	if d.line.From != "" {
		return fmt.Sprintf("its login goes on as account %s since %s", d.line.Account, w.time(d.line.Time))
	}
	return "what was stored of it was removed at " + w.time(d.line.Time)
}

// before is what it had until then.
func (d departure) before(w words) string {
	if !d.was.known {
		return fmt.Sprintf("Which token it had until then is not known: the history begins at %s.", w.time(w.then.from))
	}
	w.then = &story{token: d.was}
	return fmt.Sprintf("Until then it had %s.", w.token())
}

// todo is what to do about it now.
func (d departure) todo() string {
	if d.line.From != "" {
		return "Ask about that one: tokenkeeper explain " + d.line.Account
	}
	return "To have it again, write it into the configuration, run tokenkeeper reload, and then: tokenkeeper login ACCOUNT"
}

// earlier is what an account was called before it had this name, if that came after the moment.
func (w words) earlier() (said []string) {
	for _, l := range w.then.lines {
		if l.Account == w.q.Account && l.From != "" && l.Time.After(w.then.at) {
			return []string{fmt.Sprintf("Until %s its login was that of account %s, and what it had before is told of that name.", w.time(l.Time), l.From)}
		}
	}
	return nil
}
