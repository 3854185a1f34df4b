package refresh

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file keeps us from asking anything of an account's broker on our initiative, by a
// person's word. What he does himself goes on, and so does whatever costs no request: what
// was sent is heard out, files are looked at, tokens are delivered.

// IsPaused is told to who wants what would take a request to the broker.
type IsPaused struct {
	Account string
	Pause   store.Pause
}

func (e *IsPaused) Error() string {
	return fmt.Sprintf("account %s is %s: nothing is asked of its broker. To go on: tokenkeeper resume %[1]s; "+
		"to get one token all the same: tokenkeeper refresh %[1]s --force", e.Account, PauseText(e.Pause))
}

// PauseText says of a pause since when it holds, by whom, until when and why.
func PauseText(p store.Pause) string {
	text := fmt.Sprintf("paused since %s by user %d", moment.Stamp(p.Since), p.By.UID)
	if !p.Until.IsZero() {
		text += ", until " + moment.Stamp(p.Until)
	}
	if p.Reason != "" {
		text += fmt.Sprintf(" (%s)", p.Reason)
	}
	return text
}

// PausedText is how it is told that an account is paused.
func PausedText(account string, p store.Pause) string {
	return fmt.Sprintf("%s: nothing is asked of its broker; to go on: tokenkeeper resume %s", PauseText(p), account)
}

// Pausing is what has come of a word that pauses an account.
type Pausing struct {
	// Pause holds from now on. Already: the account was paused before.
	Pause   store.Pause
	Already bool
	// InFlight: an attempt was begun before, and is heard out.
	InFlight bool
}

// Pause keeps us from asking the account's broker for anything by ourselves, until somebody
// resumes it or the pause is over by itself; over restarts, and whatever becomes of the
// account in the configuration. Of one that is paused already, see [store.Pause.Again].
func (p persons) Pause(ctx context.Context, name string, said store.Pause) (Pausing, error) {
	a, ok := p.accounts[name]
	if !ok {
		return Pausing{}, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	a.steering.Lock()
	defer a.steering.Unlock()
	if err := p.loop.retired(name); err != nil { // whoever follows is told, and not the store
		return Pausing{}, err
	}
	next := said
	was, already := pausable{a}.pause()
	if already {
		next = was.Again(said)
	}
	if !already || next != was {
		if err := (pausable{a}).put(ctx, &next); err != nil {
			return Pausing{}, fmt.Errorf("account %s: it was not paused, because that could not be stored: %w", name, err)
		}
		pausable{a}.steer(acct.Paused{Pause: next})
		a.Publish(slog.LevelWarn, event.Event{
			Type: event.Paused, Expiry: a.rec().Token.Expiry(),
			Message: PausedText(name, next),
		})
	}
	_, open := a.state().Stage.(acct.Open)
	return Pausing{next, already, open}, nil
}

// Resuming is what has come of a word that resumes an account.
type Resuming struct {
	// Pause is what has held until now; nil: the account was not paused, and nothing has
	// changed. Due is when it has its next turn; zero: it has none.
	Pause *store.Pause
	Due   time.Time
}

// Resume ends a pause: the account is due as if there had been none.
func (p persons) Resume(ctx context.Context, name string, by event.Caller) (Resuming, error) {
	a, ok := p.accounts[name]
	if !ok {
		return Resuming{}, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	a.steering.Lock()
	defer a.steering.Unlock()
	if err := p.loop.retired(name); err != nil {
		return Resuming{}, err
	}
	var r Resuming
	if was, paused := a.state().Course.(acct.Paused); paused {
		if err := (pausable{a}).put(ctx, nil); err != nil {
			return r, fmt.Errorf("account %s: it stays paused, because its end could not be stored: %w", name, err)
		}
		r.Pause, r.Due = &was.Pause, pausable{a}.steer(acct.Runs{})
		pausable{a}.tellOver(was.Pause, fmt.Sprintf("by user %d", by.UID))
	}
	return r, nil
}

// pausable is an account that a person may have paused.
type pausable struct{ *account }

// pause is why nothing is asked of the account's broker; ok is false if something may be.
func (a pausable) pause() (p store.Pause, ok bool) {
	return a.state().Pause(a.keeper.clock.Now().Wall)
}

// put makes durable what a person says of the account's pause, whatever is stored of it.
func (a pausable) put(ctx context.Context, next *store.Pause) error {
	s, name := a.keeper.cfg.Store, a.cfg.Name
	stored := func() (*store.Pause, error) {
		p, ok, err := s.Pause(ctx, name)
		if !ok {
			return nil, err
		}
		return &p, err
	}
	was, err := stored()
	if err != nil {
		return err
	}
	return store.Made(s.PutPause(ctx, name, was, next), func() (bool, error) {
		is, err := stored()
		return err == nil && is.Same(next), err
	})
}

// err is told to who waits for a refresh.
func (a pausable) err() error {
	p, _ := a.pause()
	return &IsPaused{a.cfg.Name, p}
}

// steer sets the account's course, which is stored, and plans it by that, at once or when
// the work on it ends; it returns when it has its turn. The caller holds steering, for
// which a Keeper waits that is retired: whoever follows has the course from the store.
func (a pausable) steer(c acct.Course) (due time.Time) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.guard.Steer(c)
	planAnew(a.account)
	if due, _ = a.plan.due(); a.guard.Taken() {
		due = a.keeper.clock.Now().Wall
	}
	a.changes()
	a.keeper.signal()
	return due
}

// staysPaused takes the course that is stored, as that of an account which was paused
// under another name.
func (a pausable) staysPaused(ctx context.Context) error {
	a.steering.Lock()
	defer a.steering.Unlock()
	p, paused, err := a.keeper.cfg.Store.Pause(ctx, a.cfg.Name)
	if err == nil && paused {
		a.steer(acct.Paused{Pause: p})
	}
	return err
}

// planBy gives the account no turn, but one that ends the pause if that is over by itself.
// The caller holds k.mu.
func (a pausable) planBy(p store.Pause, now schedule.Instant) {
	a.plan.pauseFor(promise.Paused, "")
	if p.Until.IsZero() {
		a.plan.notDue()
		return
	}
	a.plan.dueAt(p.Until, now)
}

func (a pausable) tellOver(was store.Pause, by string) {
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.Resumed, Expiry: a.rec().Token.Expiry(),
		Message: fmt.Sprintf("resumed %s; it was %s", by, PauseText(was)),
	})
}

// isPaused says whether the account is paused.
func (a *account) isPaused() bool {
	_, paused := pausable{a}.pause()
	return paused
}

// mayBegin keeps an attempt from being announced if the account was paused after it was
// decided on. The caller holds k.mu.
func (a *round) mayBegin() error {
	if !a.isPaused() || a.wish.insisted {
		return nil
	}
	a.replan()
	return pausable{a.account}.err()
}

// lapse ends a pause whose time is over, and says whether there was one. It costs the
// broker nothing. If the store does not take it, the next start finds that it is over.
func (a *round) lapse(ctx context.Context) bool {
	if !a.state().Lapsed(a.keeper.clock.Now().Wall) {
		return false
	}
	a.steering.Lock()
	defer a.steering.Unlock()
	was, paused := a.state().Course.(acct.Paused)
	if !paused || !a.state().Lapsed(a.keeper.clock.Now().Wall) { // somebody was faster
		return false
	}
	if err := a.keeper.cfg.Store.PutPause(ctx, a.cfg.Name, &was.Pause, nil); err != nil {
		a.Log().Warn("the end of a pause could not be stored; it is over all the same", "error", err)
	}
	pausable{a.account}.steer(acct.Runs{})
	a.keeper.mu.Lock()
	a.replan()
	a.keeper.mu.Unlock()
	pausable{a.account}.tellOver(was.Pause, "by itself, as it was said")
	return true
}
