package explain

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// revokeUnknown is that a broker was asked to end a login, and nobody knows whether it has.
var revokeUnknown = class{key: "revoke_unknown", weight: 5,
	todo: "Ask again: tokenkeeper revoke ACCOUNT, or look in the broker's account page. The next refresh finds out, too; to have that now: tokenkeeper refresh ACCOUNT --force"}

// revokeLeft is what to do about that of an account that is in no configuration.
const revokeLeft = "Ask again: tokenkeeper accounts forget ACCOUNT --revoke, or look in the broker's account page."

// revocation is the one that was sent in a story, and which its next run finds noted.
type revocation struct{ *story }

// stands is what a line of how the account stands tells of a revocation, whose outcome
// nobody was left to tell: the supervisor ended before the broker had answered.
func (s revocation) stands(l history.Line) {
	if l.RevokeAsked.IsZero() || s.hasMet(revokeUnknown) {
		return
	}
	s.met = append(s.met, met{class: revokeUnknown, line: history.Line{Event: event.Event{
		Time: l.RevokeAsked, Type: event.RevokeUnknown, Account: s.account, Provider: s.provider,
		Message: "a revocation of its login was sent, and its outcome is unknown: the supervisor ended before the broker had answered",
	}}})
}

// foresee finds one that was sent by the moment, and of which is told only when the next run
// begins.
func (s revocation) foresee() {
	for _, l := range s.lines {
		sent := l.Type == history.Stands && l.Account == s.account && l.Time.After(s.at) && l.Version == s.token.version
		if sent && !l.RevokeAsked.After(s.at) && s.token.known {
			s.stands(l)
			return
		}
	}
}
