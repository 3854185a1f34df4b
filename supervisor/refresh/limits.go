package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file keeps to what a broker allows an account: requests an hour, and failed
// logins ([sdk.Limits]). It stands before an announcement and nowhere else: what was
// announced is settled, and what lies in the spool is taken, whatever was asked for
// before. Requests are stored with the announcement of one, so that they count over
// restarts. They age by the time that the machine is up, its sleep included: no clock
// that is set, and no restart within one run of its kernel, makes them older or younger.

// ErrLimit: the broker would not allow, or would punish, one more request.
var ErrLimit = errors.New("the broker's limit is reached")

// recall reads what each account has asked of a broker that allows only so much.
func (k *Keeper) recall(ctx context.Context, l sdk.Limits) error {
	if l == (sdk.Limits{}) {
		return nil
	}
	for _, a := range k.order {
		k.mu.Lock()
		known := a.plan.allowance.known
		k.mu.Unlock()
		if known {
			continue
		}
		all, err := k.cfg.Store.Requests(ctx, a.cfg.Name)
		if err != nil {
			return fmt.Errorf("account %s: what was asked of its broker is not known: %w", a.cfg.Name, err)
		}
		now := k.clock.Now()
		made, others := k.aging.madeOf(all, now)
		if others { // from now on the clock may be set
			if err := k.cfg.Store.PutRequests(ctx, a.cfg.Name, k.aging.requestsOf(made, now)); err != nil {
				a.Log().Warn("when its broker was asked could not be noted anew; the next request notes it", "error", err)
			}
		}
		k.mu.Lock()
		a.plan.allowance.made, a.plan.allowance.known = made, true
		k.mu.Unlock()
	}
	return nil
}

// aging is how old stored requests are: in which run of the machine's kernel this is,
// and whether anybody knows how long that has been up.
type aging struct {
	boot string
	up   bool
}

// madeOf are the requests that the store has, and whether there are some of another run
// of the machine's kernel. Those are as old as the wall clock says; one in the future
// was made before that was set back: nobody knows when, so that it counts as one of now.
func (g aging) madeOf(all []store.Request, now schedule.Instant) (made []limit.Made, others bool) {
	for _, r := range all {
		age := now.Up - r.Up
		if !g.isOurs(r) || age < 0 {
			age, others = now.Wall.Sub(r.At), true
		}
		made = append(made, limit.Made{Attempt: r.Attempt, At: moment.Minus(now.Up, max(0, age)), Failed: r.Failed, Poll: r.Poll})
	}
	return made, others
}

// isOurs says whether a request is of this run of the machine's kernel.
func (g aging) isOurs(r store.Request) bool {
	return g.up && g.boot != "" && r.Boot == g.boot
}

func (g aging) requestsOf(made []limit.Made, now schedule.Instant) []store.Request {
	all := make([]store.Request, len(made))
	for n, m := range made {
		all[n] = store.Request{Attempt: m.Attempt, At: now.Wall.Add(m.At - now.Up), Up: m.At, Boot: g.boot, Failed: m.Failed, Poll: m.Poll}
	}
	return all
}

// limited is an account whose broker allows it only so much.
type limited struct{ *account }

// rule is what the account's broker allows. The caller holds k.mu.
func (a limited) rule() limit.Rule { return a.keeper.nature().rule(a.cfg.Timeout) }

// held is how long a request of that kind has to wait, which is no login. The
// caller holds k.mu.
func (a limited) held(kind string, insisted bool, now schedule.Instant) limit.Hold {
	ask := limit.Ask{Login: isLogin(kind), Insisted: insisted}
	if !insisted {
		a.repeats(&ask, now)
	}
	return a.rule().Next(a.plan.allowance.made, ask, now.Up)
}

// lastTry is how long before a token dies what is left for a person is used at the
// latest, rather than let it die: an answer has to come, and consumers have to get it.
const lastTry = time.Minute

// repeats says of a request that an account makes by itself what it repeats, and what
// would be lost without it. What is left for a person is not used for a token that
// would die soon again, because the broker allows less than its lifetime needs. The
// caller holds k.mu.
func (a limited) repeats(ask *limit.Ask, now schedule.Instant) {
	open, terms := a.state().Ambiguous(), a.outlook().terms()
	ask.Again = open != nil || a.rec().Health.Failures > 0
	if open != nil && open.Kind != spool.KindMint && terms.Grace > 0 {
		if left := open.AmbiguousSince.Add(terms.Grace).Sub(now.Wall); left > 0 {
			ask.Saves, ask.Last, ask.Until = true, now.Up, now.Up+left-terms.Grace/10
			ask.Soon = open.Sends <= 1
			return
		}
	}
	end := a.dies(now.Wall)
	if end.IsZero() || a.rec().Token.IssuedAt.After(now.Wall) { // nobody knows when it dies
		return
	}
	ask.Until = moment.Minus(now.Up, moment.Plus(now.Wall.Sub(end), lastTry))
	ask.Saves, ask.Last = time.Duration(a.rule().Unasked())*a.interval() >= time.Hour, ask.Until
}

// interval is the time between two refreshes that the account needs; 0: nobody knows it.
// The caller holds k.mu.
func (a limited) interval() time.Duration {
	return promise.Interval(needsOf(&a.cfg, a.keeper.nature()), a.rec().Token.Lifetime)
}

// heldForProgram is how long a program's wish has to wait of an account that is not due:
// until those that the account makes by itself from then on are held up by it no more. The
// caller holds k.mu.
func (a limited) heldForProgram(now schedule.Instant) limit.Hold {
	ask := limit.Ask{Login: isLogin(a.outlook().kind()), Every: a.interval()}
	a.repeats(&ask, now)
	return a.rule().Next(a.plan.allowance.made, ask, now.Up)
}

// lastForProgram says whether a program's wish, once it is fulfilled, leaves none for
// another program. The caller holds k.mu.
func (a limited) lastForProgram(now schedule.Instant) bool {
	made := append(slices.Clone(a.plan.allowance.made), limit.Made{At: now.Up})
	return a.rule().Next(made, limit.Ask{Login: isLogin(a.outlook().kind()), Every: a.interval()}, now.Up).Wait > 0
}

// isLogin says whether an attempt of that kind proves who asks.
func isLogin(kind string) bool {
	return spool.IsLogin(kind) || kind == spool.KindMint
}

// err says what a request waits for; nil: nothing. The caller holds k.mu.
func (a limited) err(h limit.Hold, now schedule.Instant) error {
	if h.Wait <= 0 {
		return nil
	}
	return fmt.Errorf("account %s: %w", a.cfg.Name, a.errHeld(h, now))
}

// errHeld is err for who knows of which account it is said.
func (a limited) errHeld(h limit.Hold, now schedule.Instant) error {
	return fmt.Errorf("%w: %s", ErrLimit, a.text(h, now))
}

func (a limited) text(h limit.Hold, now schedule.Instant) string {
	since, at, l := moment.Stamp(now.Wall.Add(h.Since-now.Up)), moment.Stamp(now.Wall.Add(h.Wait)), a.keeper.nature().limits
	switch {
	case h.Locked:
		return fmt.Sprintf("%d logins have failed since %s, after which it locks the account out for %s; nothing is sent before %s. "+
			"See until then why they were refused", h.Counted, since, moment.Span(l.LockedOutFor), at)
	case h.Failed:
		return fmt.Sprintf("%d logins have failed since %s, and %d within an hour lock the account out; the next is safe %s. "+
			"See until then why they were refused", h.Counted, since, l.FailedLoginsPerHour, at)
	case h.Spread:
		return fmt.Sprintf("%d of the %d requests that it allows an hour were made since %s; so that the others last, the next is sent %s. "+
			"To send one now: tokenkeeper refresh %s --force", h.Counted, l.RequestsPerHour, since, at, a.cfg.Name)
	case h.Owed:
		return fmt.Sprintf("%d of the %d requests that it allows an hour were made since %s, and the account needs the others itself; "+
			"for a program the next is sent %s", h.Counted, l.RequestsPerHour, since, at)
	case h.Left > 0:
		return fmt.Sprintf("%d of the %d requests that it allows an hour were made since %s; the next is sent %s. "+
			"The last one is left for a person: tokenkeeper refresh %s --force", h.Counted, l.RequestsPerHour, since, at, a.cfg.Name)
	}
	return fmt.Sprintf("%d requests were made since %s, and it allows %d an hour; the next can be sent %s", h.Counted, since, l.RequestsPerHour, at)
}

// mayAsk keeps an attempt from being announced that the broker would not allow, and
// puts the account off until it does.
func (a *round) mayAsk() error {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	l, now := limited{a.account}, a.keeper.clock.Now()
	h := l.held(a.outlook().kind(), a.wish.insisted, now)
	if h.Wait <= 0 {
		return nil
	}
	a.replan()
	if until := now.Wall.Add(h.Wait); a.plan.isDue() {
		l.noteLimit(now.Wall, l.text(h, now))
		a.plan.dueAt(until, now)
	}
	err := l.err(h, now)
	a.Log().Info("the account waits", "why", err)
	return err
}

// mayLogIn refuses a login whose answer the broker would not allow to be asked for.
// Poll names the login that is polled; "": none is.
func (a limited) mayLogIn(poll string) error {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	now := a.keeper.clock.Now()
	return a.err(a.loginHeld(poll, now), now)
}

// loginHeld is how long the answer to a login has to wait. The caller holds k.mu.
func (a limited) loginHeld(poll string, now schedule.Instant) limit.Hold {
	return a.rule().Next(a.plan.allowance.made, limit.Ask{Login: true, Insisted: true, Poll: poll}, now.Up)
}

// unpolled is for how long, and why, the broker may not be asked whether the person is
// done with a login that is polled. The caller holds k.mu.
func (a limited) unpolled(poll string) (time.Duration, error) {
	now := a.keeper.clock.Now()
	if h := a.loginHeld(poll, now); h.Wait > 0 {
		return h.Wait, a.errHeld(h, now)
	}
	return 0, nil
}

// behind puts off what is due at due, if it is sooner than the broker allows.
// The caller holds k.mu.
func (a limited) behind(due time.Time, now schedule.Instant) time.Time {
	h := a.held(a.outlook().kind(), false, now)
	until := now.Wall.Add(h.Wait)
	if h.Wait <= 0 || !due.Before(until) {
		return due
	}
	a.noteLimit(due, a.text(h, now))
	return until
}

// noteLimit notes when the account would be due without the limit, and what it waits for.
// The caller holds k.mu.
func (a limited) noteLimit(due time.Time, why string) {
	a.plan.allowance.behind = due
	a.plan.pauseFor(promise.Limit, why)
}

// waits says whether the account would have had its turn by now without the
// broker's limit. The caller holds k.mu.
func (a limited) waits(now time.Time) bool {
	return a.plan.pause == promise.Limit && !now.Before(a.plan.allowance.behind)
}

// news is what is to be told of an account that waits for its broker's limit, once until it
// asks again; ok is false if there is nothing new. The caller holds k.mu.
func (a limited) news(now time.Time) (e event.Event, ok bool) {
	made := a.plan.allowance.made
	if !a.waits(now) || a.guard.Taken() || len(made) == 0 || made[len(made)-1].Attempt == a.plan.allowance.told {
		return event.Event{}, false
	}
	a.plan.allowance.told = made[len(made)-1].Attempt
	next, _ := a.plan.due()
	return event.Event{
		Type: event.RefreshPutOff, Kind: string(sdk.KindRateLimited), Expiry: a.rec().Token.Expiry(), Next: next,
		Message: fmt.Sprintf("%v: %s", ErrLimit, a.plan.pauseText),
	}, true
}

// counting puts into an intent, which is about to be announced, the account's
// requests with it, if its broker allows only so many.
func (a limited) counting(in *store.Intent) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.keeper.nature().limits == (sdk.Limits{}) {
		return
	}
	now := a.keeper.clock.Now()
	in.Requests = a.keeper.aging.requestsOf(a.withRequest(*in, now), now)
}

// withRequest are the account's requests, and that of an intent. The caller holds k.mu.
func (a limited) withRequest(in store.Intent, now schedule.Instant) []limit.Made {
	one := limit.Made{Attempt: in.Attempt, At: now.Up}
	if l := a.keeper.open.Of(a.cfg.Name, in.Login); l != nil {
		one.Poll = l.Poll
	}
	return a.rule().With(a.plan.allowance.made, one)
}

// counts notes a request that was announced just now. The caller holds k.mu.
func (a limited) counts(e acct.Event) {
	var in store.Intent
	switch e := e.(type) {
	case acct.Announced:
		in = e.Intent
	case acct.Moved:
		in = e.Intent
	}
	if in.Requests != nil { // otherwise it was sent before
		a.plan.allowance.made = a.withRequest(in, a.keeper.clock.Now())
	}
}

// judged notes what an attempt's failure says of it as a request: that it was none, or
// only asked whether a person is done, or that it was a login which failed. That is
// durable before the attempt ends.
func (a attempt) judged(ctx context.Context, cause error) error {
	kind := sdk.KindOf(cause)
	none := kind == sdk.KindNotSent || kind == sdk.KindPending || exchange{a}.polls() && saidNo(cause) != ""
	failed := !none && isLogin(a.in.Kind) && (kind == sdk.KindInvalidGrant || kind == sdk.KindInvalidClient)
	if !failed && !none {
		return nil
	}
	a.keeper.mu.Lock()
	made, found := a.plan.allowance.made, false
	for n, m := range made {
		if m.Attempt != a.in.Attempt {
			continue
		}
		found, made = true, slices.Clone(made)
		if made[n].Failed = failed; none {
			made = slices.Delete(made, n, n+1)
		}
		break
	}
	a.plan.allowance.made = made
	all := a.keeper.aging.requestsOf(made, a.keeper.clock.Now())
	a.keeper.mu.Unlock()
	if !found {
		return nil
	}
	if err := a.keeper.cfg.Store.PutRequests(ctx, a.cfg.Name, all); err != nil {
		return a.diskTrouble(fmt.Errorf("note whether what was sent counts at the broker: %w", err))
	}
	return nil
}

// uncounted takes an attempt that was not sent out of the requests of another intent,
// which takes its place.
func (a attempt) uncounted(next *store.Intent) {
	next.Requests = slices.DeleteFunc(next.Requests, func(r store.Request) bool { return r.Attempt == a.in.Attempt })
}

// forget is uncounted of what is known of the account.
func (a attempt) forget() {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.plan.allowance.made = slices.DeleteFunc(slices.Clone(a.plan.allowance.made), func(m limit.Made) bool { return m.Attempt == a.in.Attempt })
}
