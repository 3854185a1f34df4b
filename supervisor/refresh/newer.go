package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// This file gives programs that read an account's token a newer one than they have,
// because the broker's API has refused that, or because it does not live long enough for
// them. A program is no person: it insists on nothing, waits for every pause and limit,
// and one that goes wrong, and asks again and again, costs the broker one request in a
// while.

// newerEvery is the least time between two refreshes that programs ask for of an account
// which is not due.
const newerEvery = time.Minute

// ErrNotThere: the account has not come to the version that somebody says he has.
var ErrNotThere = errors.New("it has not come to that version")

// NotYet is told to a program whose wish has to wait.
type NotYet struct {
	Account string
	// Until nothing is asked of the broker because of a program, and Why.
	Until time.Time
	Why   string
}

func (e *NotYet) Error() string {
	return fmt.Sprintf("account %s: no program gets it a newer token before %s: %s", e.Account, e.Until.UTC().Format(time.RFC3339), e.Why)
}

// Newer returns when the account has a newer token than that of a version: at once if it
// has one, and else when one has come, for which the account is refreshed once, however
// many wait. [NotYet] says until when nothing is asked of the broker. While the provider's
// process is down it waits, as long as ctx does. That nil is returned is no promise: an
// answer may bring no access token. may is asked before the account is refreshed for this
// caller alone, and may refuse that; last: the broker allows programs no further one. nil:
// nobody refuses it.
func (p persons) Newer(ctx context.Context, name string, than uint64, may func(last bool) error) error {
	p.loop.lock.Lock()
	a, ok := p.accounts[name]
	newest, err := uint64(0), error(nil)
	if ok {
		newest = newestOf(a.state()).Version
	}
	switch {
	case !ok:
		err = fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	case newest > than:
		p.loop.lock.Unlock()
		return nil
	case newest < than && newest > 0:
		err = fmt.Errorf("account %s: %w: its newest is version %d, and a newer one than %d is asked for. Take the newest; "+
			"its versions are numbered anew in another store", name, ErrNotThere, newest, than)
	case (reader{a}).isServed():
	default:
		if err = p.hindered(a); err == nil {
			err = reader{a}.mayAsk(p.clock.Now(), may)
		}
	}
	if err != nil {
		p.loop.lock.Unlock()
		return err
	}
	outcome := p.wants(a, asker{newerThan: than, content: true}, false)
	p.loop.lock.Unlock()
	return p.await(ctx, name, outcome)
}

// reader is an account of which a program reads the token.
type reader struct{ *account }

// isServed says whether a refresh is under way already, or on its way to be: somebody waits
// for it, so that one who joins him costs nothing.
func (a reader) isServed() bool {
	_, open := a.state().Stage.(acct.Open)
	return a.wish.asked() || open && !a.state().Exchanges()
}

// isDue says whether the account has its turn anyway, and not for a look alone. The caller
// holds k.mu.
func (a reader) isDue() bool { return a.plan.isDue() && !a.look.wanted }

// mayAsk says whether the account may be refreshed because of a program, and notes that
// it is, unless it has its turn anyway. The caller holds k.mu.
func (a reader) mayAsk(now schedule.Instant, may func(last bool) error) error {
	if err := a.held(now); err != nil {
		return err
	}
	if !a.guard.Taken() && a.isDue() {
		return nil
	}
	last := a.wish.newer
	if since := now.Up - last.Up; !last.Wall.IsZero() && since < newerEvery {
		return a.notYet(now.Wall.Add(newerEvery-since), fmt.Sprintf("it was refreshed for one %s ago, and that is done once in %s. "+
			"If the broker's API refuses that token too, look at what it says: the next one may be refused as well",
			max(since, 0).Round(time.Second), moment.Span(newerEvery)))
	}
	if may != nil {
		if err := may(limited(a).lastForProgram(now)); err != nil {
			return err
		}
	}
	a.wish.newer = now
	return nil
}

// held is what a program waits for where a person need not; nil: nothing. The caller
// holds k.mu.
func (a reader) held(now schedule.Instant) error {
	kept, limits := a.plan.kept(now.Wall, a.rec().Version), limited(a)
	hold := limits.held(a.outlook().kind(), false, now)
	if !a.isDue() {
		hold = limits.heldForProgram(now)
	}
	lingers, login := a.state().Lingers(), loginWait(a).until(now.Wall)
	switch {
	case !kept.at.IsZero():
		return a.notYet(kept.at, a.whyKept(kept))
	case a.wish.notBefore.After(now.Wall):
		return a.notYet(a.wish.notBefore, promise.PutOff.Text())
	case lingers != nil && now.Wall.Before(lingers.Until):
		return a.notYet(lingers.Until, promise.Lingering.Text()+": "+lingers.Why)
	case hold.Wait > 0:
		return a.notYet(now.Wall.Add(hold.Wait), limits.errHeld(hold, now).Error())
	case !login.IsZero():
		return a.notYet(login, a.whyLogin())
	}
	return nil
}

// whyLogin is what a login that is open, or was until just now, holds up.
func (a reader) whyLogin() string {
	if l := a.keeper.open.Last(a.cfg.Name); l != nil {
		return l.Waiting()
	}
	return promise.LoginOpen.Text()
}

// whyKept is the pause after a failure in words, with the failure.
func (a reader) whyKept(kept promised) string {
	if kept.text != "" {
		return kept.text
	}
	return fmt.Sprintf("%s (%s)", kept.reason.Text(), a.rec().Health.LastError)
}

func (a reader) notYet(until time.Time, why string) error {
	return &NotYet{Account: a.cfg.Name, Until: until, Why: why}
}
