package supervisor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
)

// reloadWritten reads the configuration again because it was written. That may have been a
// mistake, or not the last word of whoever writes it, and so takes nothing away for which a
// person has to log in again. What comes of it stands in the log, in the status and in an
// alert.
func (s *Supervisor) reloadWritten(ctx context.Context) {
	_, _ = s.reloadUnless(ctx, running{s.roster}.takesAway)
}

// running is who runs until what was written is taken.
type running struct{ *roster.Roster }

// takesAway refuses to go on without an account that runs, with one whose refresh token
// may not be sent any more, or is no longer shared, or with half of the sinks.
func (r running) takesAway(was, is *config.Config) error {
	if gone := difference.Between(was, is).Accounts.Removed; len(gone) > 0 {
		return fmt.Errorf("%s, and a changed file alone takes no account away: put it back, or confirm it with tokenkeeper reload",
			difference.Difference{Accounts: difference.Section{Removed: gone}})
	}
	for _, name := range slices.Sorted(maps.Keys(was.Accounts)) {
		before, after := was.Accounts[name], is.Accounts[name]
		switch {
		case before.Provider != after.Provider, r.goesElsewhere(name, before, after):
			return fmt.Errorf("account %s would be another client's or another broker's, to whom its login was not granted, and a changed file alone makes it none: put it back, or confirm it with tokenkeeper reload", name)
		case before.SharedFile != nil && after.SharedFile == nil:
			return fmt.Errorf("account %s would share its token file no more, and a changed file alone does not end that: put shared_file back, or confirm it with tokenkeeper reload", name)
		}
	}
	if before, after := len(was.Sinks), len(is.Sinks); after < before && 2*after <= before {
		return fmt.Errorf("%d of %d sinks are left, and a changed file alone takes no half of them away: put them back, or confirm it with tokenkeeper reload",
			after, before)
	}
	return nil
}

// goesElsewhere says whether the account's login would not be sent as the account is
// configured now, by what its provider says of its settings.
func (r running) goesElsewhere(name string, was, is config.Account) bool {
	k, ok := r.KeeperOf(name)
	return ok && k.GoesElsewhere(sdk.Account{ClientID: was.ClientID, Settings: was.Settings}, sdk.Account{ClientID: is.ClientID, Settings: is.Settings})
}
