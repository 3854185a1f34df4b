package refresh

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// giveUp ends an attempt of which nobody knows the outcome, because the account has
// another way to its next token. What its broker has answered is not touched: an
// answer that nobody could read stays where the provider's spool has put it, and one
// that comes late is read like any that the store knows nothing of.
func (a unknown) giveUp(ctx context.Context) error {
	in, rec := *a.state().Ambiguous(), a.state().GivingUp()
	if err := a.storeEnd(ctx, in.Attempt, rec.Basis(), rec.Health); err != nil {
		return a.diskTrouble(fmt.Errorf("give up an attempt of which nobody knows the outcome: %w", err))
	}
	crashpoint.Here("refresh: an unknown attempt is given up")
	a.keeper.mu.Lock()
	a.step(acct.GivenUp{Record: rec})
	a.replan()
	next := a.outlook().kind()
	a.keeper.mu.Unlock()
	a.Publish(slog.LevelWarn, event.Event{
		Type: event.RefreshFailed, Kind: string(sdk.KindAmbiguous), Attempt: in.Attempt, Expiry: rec.Token.Expiry(),
		Failures: rec.Health.Failures, Max: a.cfg.MaxFailures,
		Message: fmt.Sprintf("nobody will know whether the server has %s in the attempt begun %s; the account goes on without: %s",
			perhaps(in.Kind), in.AmbiguousSince.Format(time.RFC3339), a.say.nextBy(next)),
	})
	return nil
}

// until is when something is done by itself about an attempt of which nobody
// knows the outcome: it is made again, or given up; zero: never. The caller holds k.mu.
func (a unknown) until() time.Time {
	at, _ := a.replay()
	return moment.Earlier(at, a.outlook().turn().GiveUp())
}
