package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// dropStrayLogins drops the open logins of accounts that are not configured any more:
// nobody can complete them. A disk that does not take it keeps nothing from starting:
// they are dropped at the next start.
func dropStrayLogins(ctx context.Context, cfg *config.Config, st *store.Journal, log *slog.Logger) error {
	all, err := st.Logins(ctx)
	if err != nil {
		return fmt.Errorf("read the logins that are open: %w", err)
	}
	for _, l := range all {
		if _, configured := cfg.Accounts[l.Account]; configured {
			continue
		}
		if err := st.DropLogin(ctx, l.Account, l.State); err != nil {
			log.Warn("the open login of an account that is not configured can't be dropped", "account", l.Account, "error", err)
		}
	}
	return nil
}

// tellLeft says of which accounts that are not configured the store has a token, and what
// can be done about each.
func tellLeft(ctx context.Context, cfg *config.Config, st leftover.Store, now time.Time, log *slog.Logger) {
	left, err := leftover.In(ctx, cfg, st, now)
	if err != nil {
		log.Warn("of which accounts that are not configured a token is stored can't be told", "error", err)
		return
	}
	for _, line := range control.LeftLines(left, now) {
		log.Warn(line)
	}
}
