package supervisor

import (
	"context"
	"fmt"
)

// dropStrayLogins drops the open logins of accounts that are not configured any more:
// nobody can complete them. A disk that does not take it keeps nothing from starting:
// they are dropped at the next start.
func (s *Supervisor) dropStrayLogins(ctx context.Context) error {
	all, err := s.store.Logins(ctx)
	if err != nil {
		return fmt.Errorf("read the logins that are open: %w", err)
	}
	for _, l := range all {
		if _, configured := s.opts.Config.Accounts[l.Account]; configured {
			continue
		}
		if err := s.store.DropLogin(ctx, l.Account, l.State); err != nil {
			s.log.Warn("the open login of an account that is not configured can't be dropped", "account", l.Account, "error", err)
		}
	}
	return nil
}
