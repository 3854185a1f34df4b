package refresh

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What is done about an attempt that was sent and whose outcome nobody knows.
// supervisor/README.md has the rules as a table, which a test compares with
// what happens.

const (
	// nearEnd is how long before the death of the access token that consumers
	// hold the first replay is made at the latest.
	nearEnd = 10 * time.Second
	// replayFirst and replayMost bound the pauses after a replay whose answer
	// was lost, too: they double, and at most 12 are made in an hour.
	replayFirst = 30 * time.Second
	replayMost  = 5 * time.Minute
	// graceFirst is the pause after the second try within a reuse grace.
	graceFirst = 2 * time.Second
	// lastChance is how long before the death of a refresh token it is sent once
	// more, although its answer lies unread: then nothing is left to lose by it.
	lastChance = 30 * time.Second
)

// open is an attempt whose outcome is unknown, with its replays.
type open struct {
	// first and last are when the first and the newest of them were begun that
	// may have reached the server, and sends how many those are.
	first, last time.Time
	sends       int
	// unread: an answer came that may hold the new refresh token, and nobody
	// could read it.
	unread bool
}

// terms are what the time of a replay depends on beside the attempt.
type terms struct {
	// grace is how long the server accepts a refresh token that it has
	// replaced, less a tenth for what the clocks and the way may differ.
	grace time.Duration
	// timeout of an attempt: no answer to it can come after that.
	timeout time.Duration
	// refreshEnd is when the refresh token that was sent dies by itself; zero:
	// unknown.
	refreshEnd time.Time
	// expiry of the access token that consumers hold.
	expiry time.Time
}

// replayAt is when the same refresh token is sent again by itself; zero: never.
// why says it to people.
func replayAt(o open, t terms, now time.Time) (at time.Time, why string) {
	if at := o.last.Add(graceAfter(o.sends)); t.grace > 0 && later(at, now).Before(o.first.Add(t.grace)) {
		return at, "the server accepts it a second time for a while"
	}
	if o.unread {
		last := t.refreshEnd.Add(-lastChance)
		if t.refreshEnd.IsZero() || !o.last.Before(last) {
			return time.Time{}, ""
		}
		return last, "shortly before it dies by itself, unless somebody has mended the answer that nobody could read"
	}
	if o.sends > 1 {
		return o.last.Add(doubled(replayFirst, o.sends-2, replayMost)), "with growing pauses, at most 12 times an hour"
	}
	at = o.last.Add(t.timeout)
	if end := t.expiry.Add(-nearEnd); !t.expiry.IsZero() && end.Before(at) {
		return later(end, o.last.Add(graceFirst)), "because the access token is about to end"
	}
	return at, "when no answer can come any more"
}

func graceAfter(sends int) time.Duration {
	if sends <= 1 {
		return 0
	}
	return doubled(graceFirst, sends-2, replayMost)
}

func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	if times > 16 {
		return most
	}
	return min(first<<times, most)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func openOf(in store.Intent) open {
	o := open{first: in.AmbiguousSince, last: in.SentAt, sends: max(in.Sends, 1), unread: in.Unread}
	if o.last.IsZero() { // noted by an earlier version
		o.last = in.At
	}
	return o
}

// replay is when the account's open attempt is made again by itself. The caller
// holds k.mu.
func (k *Keeper) replay(a *account) (at time.Time, why string) {
	t := terms{
		grace: k.policy.ReuseGrace - k.policy.ReuseGrace/10, timeout: a.cfg.Timeout,
		refreshEnd: a.rec.RefreshExpiry, expiry: a.rec.Token.Expiry(),
	}
	now := k.clock.Now().Wall
	if o := openOf(*a.ambiguous); o.last.After(now) {
		a.ambiguous.SentAt = now // the clock was set back, and nothing is waited for twice
	}
	return replayAt(openOf(*a.ambiguous), t, now)
}

// replayPlan says to people what will be done.
func (k *Keeper) replayPlan(a *account) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, why := k.replay(a)
	switch {
	case at.IsZero():
		return fmt.Sprintf("The same refresh token is not sent again by itself. If nothing can be made of the answer, log in with: "+
			"tokenkeeper login %s, or send it all the same with: tokenkeeper refresh %s --force", a.cfg.Name, a.cfg.Name)
	case a.ambiguous.Unread:
		return fmt.Sprintf("The same refresh token is not sent again by itself before %s, %s. To send it now: tokenkeeper refresh %s --force",
			at.Format(time.RFC3339), why, a.cfg.Name)
	}
	return fmt.Sprintf("The same refresh token is sent again %s, %s; if no answer comes then either, with growing pauses, at most 12 times an hour",
		later(at, k.clock.Now().Wall).Format(time.RFC3339), why)
}

// holdsBack says whether an open attempt must not be made again yet, and then
// plans it; but not if a person insists.
func (k *Keeper) holdsBack(a *account) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.ambiguous == nil || a.insisted {
		return false
	}
	at, _ := k.replay(a)
	if !at.IsZero() && !at.After(k.clock.Now().Wall) {
		return false
	}
	k.plan(a)
	return true
}

// retryOpen plans the next replay after one that brought no verdict. What did
// not reach the server is tried again as any other failure. The caller holds
// k.mu.
func (k *Keeper) retryOpen(a *account, kind sdk.Kind, f schedule.Failure) time.Time {
	switch kind {
	case sdk.KindNotSent:
		return k.retry(a, f)
	case sdk.KindAmbiguous: // markAmbiguous has counted it
	default:
		a.ambiguous.Sends, a.ambiguous.SentAt = openOf(*a.ambiguous).sends+1, a.ambiguous.At
	}
	at, _ := k.replay(a)
	if at.IsZero() {
		k.notDue(a)
		return at
	}
	now := k.clock.Now()
	if f.Misconfigured || f.RetryAfter > 0 {
		at = later(at, schedule.Retry(f, now.Wall, a.rec.Token.Expiry(), 0))
		a.pauseFor(promise.RetryAfter, "")
		a.promise(at)
	}
	k.dueAt(a, at, now)
	return at
}

// replays makes in the replay of the standing intent. What lies unread goes on
// holding it back if the server accepts the same refresh token again for a
// while; otherwise the time for that is over, or a person has decided.
func (k *Keeper) replays(in *store.Intent, standing store.Intent) {
	in.Replays, in.AmbiguousSince = standing.Attempt, standing.AmbiguousSince
	if standing.Replays != "" {
		in.Replays = standing.Replays
	}
	in.Sends, in.SentAt = standing.Sends, standing.SentAt
	k.mu.Lock()
	grace := k.policy.ReuseGrace - k.policy.ReuseGrace/10
	k.mu.Unlock()
	in.Unread = standing.Unread && in.At.Before(standing.AmbiguousSince.Add(grace))
}

// toldHeldBack is what those are told who wait for a refresh without insisting;
// nil: nobody waits.
func (k *Keeper) toldHeldBack(a *account) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(a.waiters) == 0 {
		return nil
	}
	return k.heldBack(a)
}

// heldBack is the answer to a person who asks for a refresh before its time.
// The caller holds k.mu.
func (k *Keeper) heldBack(a *account) error {
	when := "not sent again by itself"
	if at, why := k.replay(a); !at.IsZero() {
		when = fmt.Sprintf("sent again %s, %s", at.Format(time.RFC3339), why)
	}
	return fmt.Errorf("account %s: nobody knows whether its refresh token was used up by the attempt of %s; it is %s. To send it now: tokenkeeper refresh %s --force",
		a.cfg.Name, a.ambiguous.AmbiguousSince.Format(time.RFC3339), when, a.cfg.Name)
}
