package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Course is whether an account gets its next token by itself: [Runs], or [Paused]. It is a
// person's affair alone: nothing that happens to the account changes it.
type Course interface{ isCourse() }

type (
	// Runs: it does, when it is due.
	Runs struct{}
	// Paused: nothing is asked of its broker, unless a person insists. What was sent
	// before is heard out, and a token that is found elsewhere is taken.
	Paused struct{ store.Pause }
)

func (Runs) isCourse()   {}
func (Paused) isCourse() {}

// Pause is why nothing is asked of the account's broker; ok is false if something may be.
func (s State) Pause(now time.Time) (p store.Pause, ok bool) {
	paused, ok := s.Course.(Paused)
	return paused.Pause, ok && paused.Holds(now)
}

// Lapsed says whether the account has a pause whose time is over.
func (s State) Lapsed(now time.Time) bool {
	paused, ok := s.Course.(Paused)
	return ok && !paused.Holds(now)
}
