package refresh

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// The promise is that an account past its due moment is in flight or has a
// stated reason. The heap is what it rests on, so each account notes its turn
// itself too, and every look compares some of them.

const (
	// auditedAtOnce is how many accounts a look compares: all of a few
	// thousand, and a hundred thousand within half an hour.
	auditedAtOnce = 2000
	// lateTolerated is how long after its token's death an account may be
	// planned, and after its due moment be without a turn: longer than the pause
	// between two answers.
	lateTolerated = 30 * time.Second
)

// waiting is why the account, which is past its due moment, is not in flight.
// The caller holds k.mu.
func (a view) waiting(now schedule.Instant) promise.Reason {
	open := a.state().Ambiguous()
	return promise.Why(promise.Facts{
		NeedsLogin: a.rec().NeedsLogin() || a.outlook().at(now.Wall).ended(), Withheld: a.withheld() != "", Paused: a.isPaused(), Asked: a.question().Text != "",
		Lingering: a.state().Lingers() != nil, Ambiguous: open != nil, Unread: open != nil && open.Unread,
		Client:    open != nil && open.ClientRefused != "" && !a.plan.turn.planned,
		Unsettled: a.state().IsCut(), PutOff: now.Wall.Before(a.wish.notBefore), Pause: a.plan.pause,
		Planned: a.plan.turn.planned, Reached: a.plan.reached(now),
		Running: a.keeper.running, Serving: a.keeper.remote != nil, Full: !a.keeper.hasRoom(), Awake: !a.keeper.asleep(now),
	})
}

// overdue says whether the account is past the moment at which its token is to
// be refreshed, whatever was planned since. The caller holds k.mu.
func (a view) overdue(now schedule.Instant) bool {
	if a.guard.Taken() || !a.stored() {
		return false
	}
	if a.plan.reached(now) {
		return true
	}
	end := a.state().Expiry()
	return !end.IsZero() && now.Wall.After(end)
}

// forgotten says whether the account has no turn, though it has been due for a while and
// nothing says why it waits. The caller holds k.mu.
func (a view) forgotten(now schedule.Instant) (is bool) {
	if a.plan.turn.planned || !a.stored() || a.waiting(now) != promise.None {
		return false
	}
	a.ifIdle(func(l *leased) {
		due := l.dueOf(now.Wall)
		is = !due.IsZero() && !now.Wall.Before(due.Add(lateTolerated))
	})
	return is
}

// watch looks whether the promise is kept.
type watch struct {
	provider string
	loop     *loop
	accounts []*account
	facts    *event.Facts
	audited  int // accounts, so far
}

// audit compares some accounts with the heap, in turn, and puts right what it
// finds. It returns what that was. The caller holds k.mu.
func (w *watch) audit(now schedule.Instant) []string {
	var faults []string
	broken := false
	for range min(auditedAtOnce, len(w.accounts)) {
		a := w.accounts[w.audited%len(w.accounts)]
		w.audited++
		if a.guard.Taken() {
			continue
		}
		why := a.plan.misplaced(now)
		if why == "" && !now.Wall.Before(a.state().Expiry().Add(lateTolerated)) && (view{a}).overdue(now) &&
			!a.plan.reached(now) && (view{a}).waiting(now) == promise.None {
			why = "its token is over, and nothing says why it waits"
			planAnew(a)
		}
		if why == "" && (view{a}).forgotten(now) {
			why = "it is due, and has no turn"
			planAnew(a)
		}
		if why != "" {
			broken = true
			faults = append(faults, "account "+a.cfg.Name+": "+why)
		}
	}
	if broken {
		w.rebuild(now)
	}
	return faults
}

// rebuild makes the heap anew from the accounts; what their budgets want comes back with
// their next tokens. The caller holds k.mu.
func (w *watch) rebuild(now schedule.Instant) {
	w.loop.agenda = newAgenda()
	for _, a := range w.accounts {
		if !a.plan.turn.planned {
			continue
		}
		wait := min(a.plan.turn.at.Wall.Sub(now.Wall), a.plan.turn.at.Mono-now.Mono)
		a.plan.dueAt(now.Wall.Add(wait), now)
	}
}

// lookAtLoop wakes the loop if there is something to do, and says what is wrong
// if it did not come although it was woken long ago. The caller holds k.mu.
func (w *watch) lookAtLoop(now schedule.Instant) []string {
	l := w.loop
	switch {
	case !l.mayAct(now), l.nudged.turns != l.turns:
		l.nudged = nudge{}
	case l.asleep(now):
		w.rebuild(now)
		return []string{fmt.Sprintf("the refresh loop sleeps although %d accounts are due and there is room in flight", l.heap.Overdue(now))}
	}
	if l.mayAct(now) && !l.nudged.given {
		l.nudged = nudge{true, now, l.turns}
	}
	return nil
}

// tell says what was wrong with the plan.
func (w *watch) tell(faults []string) {
	if len(faults) == 0 {
		return
	}
	what := faults[0]
	if more := len(faults) - 1; more > 0 {
		what += fmt.Sprintf(", and %d more", more)
	}
	w.facts.Meet(slog.LevelError, event.Event{
		Type: event.PlanMended, Provider: w.provider,
		Message: fmt.Sprintf("the plan of provider %s was wrong (%s) and was made anew from its accounts. "+
			"This is a defect of Tokenkeeper: please report it with the log. If it comes again, run: tokenkeeper restart %[1]s",
			w.provider, what),
	})
}
