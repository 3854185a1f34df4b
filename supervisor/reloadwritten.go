package supervisor

import (
	"context"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
)

// reloadWritten reads the configuration again because it was written. That may have been a
// mistake, or not the last word of whoever writes it, and so takes nothing away for which a
// person has to log in again. What comes of it stands in the log, in the status and in an
// alert.
func (s *Supervisor) reloadWritten(ctx context.Context) {
	_, _ = s.reloadUnless(ctx, takesAway)
}

// takesAway refuses to go on without an account that runs, or with half of the sinks.
func takesAway(was, is *config.Config) error {
	if gone := difference.Between(was, is).Accounts.Removed; len(gone) > 0 {
		return fmt.Errorf("%s, and a changed file alone takes no account away: put it back, or confirm it with tokenkeeper reload",
			difference.Difference{Accounts: difference.Section{Removed: gone}})
	}
	if before, after := len(was.Sinks), len(is.Sinks); after < before && 2*after <= before {
		return fmt.Errorf("%d of %d sinks are left, and a changed file alone takes no half of them away: put them back, or confirm it with tokenkeeper reload",
			after, before)
	}
	return nil
}
