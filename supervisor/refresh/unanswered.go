package refresh

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
)

// An attempt whose answer is lost has perhaps used up the refresh token. Where the
// broker does not replace refresh tokens it has not, whatever became of it: it has
// failed like any other, and is made again after a pause.

// lost is an attempt whose answer can't come any more.
type lost struct{ attempt }

// does says what is to be done about an attempt whose answer can't come any
// more: acct.Mark or acct.End.
func (a lost) does() acct.Action {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return a.step(acct.Unanswered{Terms: a.outlook().terms()})
}

const staysGood = "this broker does not replace refresh tokens, so the one that was sent is good for the next try"

const mintsBeside = "a token that this broker mints ends no other, so another one is minted"

// unharmed says why nothing is lost with the attempt's answer.
func (a lost) unharmed() string {
	if a.in.Kind == spool.KindMint {
		return mintsBeside
	}
	return staysGood
}

// harmless is the failure of an attempt with whose answer nothing is lost.
func (a lost) harmless(cause error) error {
	return &sdk.Error{Kind: sdk.KindTransient, Message: cause.Error() + "; " + a.unharmed()}
}

// cutOff ends an attempt that a process's death cut off after it was sent, and
// plans the account's next turn.
func (a lost) cutOff(ctx context.Context, why string) error {
	if a.does() == acct.End {
		if err := a.abandon(ctx, why); err != nil {
			return err
		}
		return a.again()
	}
	if err := a.mark(ctx, why); err != nil {
		return err
	}
	return a.again()
}

// abandon notes the end of an attempt with whose answer nothing is lost. It counts
// as no failure: why says what kept the answer from us, and that was not the broker.
func (a lost) abandon(ctx context.Context, why string) error {
	if err := a.storeEnd(ctx, a.in.Attempt, a.rec().Basis(), a.rec().Health); err != nil {
		return a.diskTrouble(fmt.Errorf("note the end of an attempt whose answer is lost: %w", err))
	}
	a.tell(acct.Ended{})
	a.Log().Info("the answer of an attempt is lost, and nothing with it: "+a.unharmed(), "attempt", a.in.Attempt, "why", why)
	return nil
}

// mark makes the standing intent say that the attempt's outcome is
// unknown.
func (a lost) mark(ctx context.Context, why string) error {
	first := a.in.AmbiguousSince.IsZero()
	if first {
		a.in.AmbiguousSince = a.in.At
	}
	a.in.Sends, a.in.SentAt = a.in.Sends+1, a.in.At
	if err := a.keeper.cfg.Store.Replace(ctx, a.in.Attempt, a.in); err != nil {
		return a.diskTrouble(fmt.Errorf("note that an attempt is ambiguous: %w", err))
	}
	crashpoint.Here("refresh: marked as ambiguous")
	a.tell(acct.Marked{Intent: a.in})
	if first && a.in.ClientRefused == "" { // that is told as the failure that it is
		level := slog.LevelError
		a.keeper.mu.Lock()
		if a.in.Kind == spool.KindMint || a.rec().CanMint() || a.keeper.clock.Now().Wall.Before(a.in.AmbiguousSince.Add(a.keeper.nature().grace())) {
			level = slog.LevelWarn // nothing is lost yet
		}
		a.keeper.mu.Unlock()
		a.Publish(level, event.Event{
			Type: event.Ambiguous, Attempt: a.in.Attempt, Kind: string(sdk.KindAmbiguous),
			Message: "nobody knows whether the server has " + perhaps(a.in.Kind) + ": " + why + ". " + unknown{a.leased}.planText(),
		})
	}
	return nil
}
