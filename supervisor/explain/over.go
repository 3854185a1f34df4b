package explain

import (
	"regexp"
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
	for n := range s.met {
		if m := &s.met[n]; m.over.IsZero() && (m.line.Type == of || m.class.key == classes[of].key) {
			m.over = at
		}
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
	return s.isNamed(gone)
}

func (s *story) isNamed(text string) bool {
	return regexp.MustCompile(`(^|[\s,:])` + regexp.QuoteMeta(s.account) + `($|[\s,;:])`).MatchString(text)
}
