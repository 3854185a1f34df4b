package refresh

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What is done about an attempt that was sent and whose outcome nobody knows.
// supervisor/README.md has the rules as a table, which a test compares with
// what happens.

// unknown is an account with an attempt of which nobody knows the outcome.
type unknown struct{ *leased }

// replay is when the account's open attempt is made again by itself. The caller
// holds k.mu.
func (a unknown) replay() (at time.Time, why string) {
	now := a.keeper.clock.Now().Wall
	if a.state().SentAfter(now) {
		a.step(acct.SetBack{})
	}
	return a.outlook().at(now).turn().Replay()
}

// planText says to people what will be done.
func (a unknown) planText() string {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	at, why := a.replay()
	in := a.state().Ambiguous()
	givenUp := a.outlook().turn().GiveUp()
	switch {
	case !givenUp.IsZero():
		return fmt.Sprintf("It is given up %s, if nothing can be made of it before: the account has another way to its next token",
			moment.Later(givenUp, a.keeper.clock.Now().Wall).Format(time.RFC3339))
	case in.Kind == spool.KindMint:
		return fmt.Sprintf("Another one is minted %s, %s", moment.Later(at, a.keeper.clock.Now().Wall).Format(time.RFC3339), why)
	case at.IsZero():
		return fmt.Sprintf("The same %s is not sent again by itself. If nothing can be made of the answer, %s, "+
			"or send it all the same with: tokenkeeper refresh %s --force", spent(in.Kind), a.say.instead().With(""), a.cfg.Name)
	case in.Unread:
		return fmt.Sprintf("The same %s is not sent again by itself before %s, %s. To send it now: tokenkeeper refresh %s --force",
			spent(in.Kind), at.Format(time.RFC3339), why, a.cfg.Name)
	}
	return fmt.Sprintf("The same %s is sent again %s, %s; if no answer comes then either, with growing pauses, at most 12 times an hour",
		spent(in.Kind), moment.Later(at, a.keeper.clock.Now().Wall).Format(time.RFC3339), why)
}

// retry plans the next replay after one that brought no verdict. The caller
// holds k.mu.
func (a unknown) retry(f schedule.Failure) time.Time {
	if a.isPaused() {
		return a.replan()
	}
	at := a.until()
	if at.IsZero() {
		return a.replan() // one that lingers is looked at when that is over
	}
	now := a.keeper.clock.Now()
	if f.Misconfigured || f.RetryAfter > 0 || f.Rest > 0 {
		at = moment.Later(at, schedule.Retry(f, now.Wall, a.rec().Token.Expiry(), 0))
		a.plan.pauseFor(promise.RetryAfter, "")
		a.plan.promise(at, a.rec().Version)
	}
	a.plan.dueAt(at, now)
	return at
}

// replays makes in the replay of the standing intent. What lies unread goes on holding it
// back, and so does that a client was refused, whose secrets have that fingerprint by now:
// who insisted has decided about one request.
func replays(in *store.Intent, standing store.Intent, secrets string) {
	in.Replays, in.AmbiguousSince = standing.Attempt, standing.AmbiguousSince
	if standing.Replays != "" {
		in.Replays = standing.Replays
	}
	in.Sends, in.SentAt = standing.Sends, standing.SentAt
	in.Unread, in.UnreadAttempt = standing.Unread, standing.UnreadAttempt
	if standing.ClientRefused != "" {
		in.ClientRefused = secrets
	}
}

// heldBack is the answer to a person who asks for a refresh before its time.
// The caller holds k.mu.
func (a unknown) heldBack() error {
	when := "not sent again by itself"
	if at := a.outlook().turn().GiveUp(); !at.IsZero() {
		when = fmt.Sprintf("given up %s, and the next token got in another way", at.Format(time.RFC3339))
	} else if at, why := a.replay(); !at.IsZero() {
		when = fmt.Sprintf("sent again %s, %s", at.Format(time.RFC3339), why)
	}
	in := a.state().Ambiguous()
	if at, _ := a.replay(); in.ClientRefused != "" && at.IsZero() {
		return fmt.Errorf("account %s: the broker refused the client secret that it was sent %s. %s", a.cfg.Name, moment.Stamp(in.At), a.say.notAgain(in.Kind))
	}
	if in.Kind == spool.KindMint {
		return fmt.Errorf("account %s: nobody knows whether the attempt of %s has minted a token; another is %s. To mint it now: tokenkeeper refresh %s --force",
			a.cfg.Name, in.AmbiguousSince.Format(time.RFC3339), strings.Replace(when, "sent again", "minted", 1), a.cfg.Name)
	}
	return fmt.Errorf("account %s: nobody knows whether its %s was used up by the attempt of %s; it is %s. To send it now: tokenkeeper refresh %s --force",
		a.cfg.Name, spent(in.Kind), in.AmbiguousSince.Format(time.RFC3339), when, a.cfg.Name)
}
