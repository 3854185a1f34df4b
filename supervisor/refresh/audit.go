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
	// planned: longer than the pause between two answers.
	lateTolerated = 30 * time.Second
)

// turn is when an account is to be looked at next.
type turn struct {
	planned bool
	at      schedule.Instant
}

// dueAt gives the account its turn. The caller holds k.mu.
func (a *account) dueAt(due time.Time, now schedule.Instant) {
	a.plan.turn = turn{true, a.keeper.heap.Set(a.cfg.Name, due, now)}
}

// notDue takes its turn away. The caller holds k.mu.
func (a *account) notDue() {
	a.keeper.heap.Remove(a.cfg.Name)
	a.plan.turn = turn{}
}

// waiting is why the account, which is past its due moment, is not in flight.
// The caller holds k.mu.
func (a *account) waiting(now schedule.Instant) promise.Reason {
	open := a.state().Ambiguous()
	return promise.Why(promise.Facts{
		NeedsLogin: a.rec().NeedsLogin() || a.outlook().at(now.Wall).ended(), Withheld: a.withheld() != "", Asked: a.question().Text != "",
		Lingering: a.state().Elsewhere() != nil, Ambiguous: open != nil, Unread: open != nil && open.Unread,
		Unsettled: a.state().IsCut(), PutOff: now.Wall.Before(a.wish.notBefore), Pause: a.plan.pause,
		Planned: a.plan.turn.planned, Reached: a.reached(now),
		Running: a.keeper.running, Serving: a.keeper.remote != nil, Full: a.keeper.inFlight >= a.keeper.cfg.MaxInFlight, Awake: !a.keeper.asleep(now),
	})
}

// reached says whether the account's turn has come, which a jump of the clock
// may have brought nearer. The caller holds k.mu.
func (a *account) reached(now schedule.Instant) bool {
	mono, held := a.keeper.heap.Mono(a.cfg.Name)
	return held && mono <= now.Mono
}

// overdue says whether the account is past the moment at which its token is to
// be refreshed, whatever was planned since. The caller holds k.mu.
func (a *account) overdue(now schedule.Instant) bool {
	if a.guard.Taken() || !a.stored() {
		return false
	}
	if a.reached(now) {
		return true
	}
	end := a.state().Expiry()
	return !end.IsZero() && now.Wall.After(end)
}

// audit compares some accounts with the heap, in turn, and puts right what it
// finds. It returns what that was. The caller holds k.mu.
func (k *Keeper) audit(now schedule.Instant) []string {
	var faults []string
	broken := false
	for range min(auditedAtOnce, len(k.order)) {
		a := k.order[k.audited%len(k.order)]
		k.audited++
		if a.guard.Taken() {
			continue
		}
		why := a.misplaced(now)
		if why == "" && !now.Wall.Before(a.state().Expiry().Add(lateTolerated)) && a.overdue(now) &&
			!a.reached(now) && a.waiting(now) == promise.None {
			why = "its token is over, and nothing says why it waits"
			k.planIdle(a)
		}
		if why != "" {
			broken = true
			faults = append(faults, "account "+a.cfg.Name+": "+why)
		}
	}
	if broken {
		k.rebuild(now)
	}
	return faults
}

// misplaced says what is wrong with what the heap holds of an account; "":
// nothing. The caller holds k.mu.
func (a *account) misplaced(now schedule.Instant) string {
	mono, held, fault := a.keeper.heap.Place(a.cfg.Name)
	switch {
	case a.plan.turn.planned && !held:
		return "it was lost from the plan"
	case !a.plan.turn.planned && held:
		return "it is in the plan and should not be"
	case held && mono > a.plan.turn.at.Mono:
		return "it stands later in the plan than it is due"
	}
	return fault
}

// rebuild makes the heap anew from the accounts. The caller holds k.mu.
func (k *Keeper) rebuild(now schedule.Instant) {
	k.heap = schedule.NewHeap()
	for _, a := range k.accounts {
		if !a.plan.turn.planned {
			continue
		}
		wait := min(a.plan.turn.at.Wall.Sub(now.Wall), a.plan.turn.at.Mono-now.Mono)
		a.dueAt(now.Wall.Add(wait), now)
	}
}

// nudge is a wake of the loop that somebody waits for.
type nudge struct {
	given bool
	at    schedule.Instant
	turns uint64 // that the loop had had
}

// asleep says whether the loop has not come to its turn although it was woken
// for an account that is due and has room in flight. The caller holds k.mu.
func (k *Keeper) asleep(now schedule.Instant) bool {
	return k.nudged.given && k.nudged.turns == k.turns && now.Mono-k.nudged.at.Mono >= stuckAfter
}

// mayAct says whether the loop could take an account now. The caller holds
// k.mu.
func (k *Keeper) mayAct(now schedule.Instant) bool {
	_, wait, ok := k.heap.Next(now)
	return k.remote != nil && k.inFlight < k.cfg.MaxInFlight && ok && wait <= 0
}

// lookAtLoop wakes the loop if there is something to do, and says what is wrong
// if it did not come although it was woken long ago. The caller holds k.mu.
func (k *Keeper) lookAtLoop(now schedule.Instant) []string {
	switch {
	case !k.mayAct(now), k.nudged.turns != k.turns:
		k.nudged = nudge{}
	case k.asleep(now):
		k.rebuild(now)
		return []string{fmt.Sprintf("the refresh loop sleeps although %d accounts are due and there is room in flight", k.heap.Overdue(now))}
	}
	if k.mayAct(now) && !k.nudged.given {
		k.nudged = nudge{true, now, k.turns}
	}
	return nil
}

// tellFaults says what was wrong with the plan.
func (k *Keeper) tellFaults(faults []string) {
	if len(faults) == 0 {
		return
	}
	what := faults[0]
	if more := len(faults) - 1; more > 0 {
		what += fmt.Sprintf(", and %d more", more)
	}
	k.facts.Meet(slog.LevelError, event.Event{
		Type: event.PlanMended, Provider: k.cfg.Provider,
		Message: fmt.Sprintf("the plan of provider %s was wrong (%s) and was made anew from its accounts. "+
			"This is a defect of Tokenkeeper: please report it with the log. If it comes again, run: tokenkeeper restart %[1]s",
			k.cfg.Provider, what),
	})
}
