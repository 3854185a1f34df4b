// Package backend is what the control API controls: the parts of one supervisor, seen
// and moved through the small interface of each.
package backend

import (
	"context"
	"errors"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/outage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/metrics"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Config is what a Backend is over.
type Config struct {
	Version string // of the program
	// StateDir is the state directory. Observes: it is only read.
	StateDir  string
	Observes  bool
	Program   *programs.Own
	Started   time.Time
	Wall      func() time.Time
	Roster    *roster.Roster
	File      *configfile.File
	Engine    *alert.Engine
	Ownership *ownership.Ownership
	// Metrics is nil if nobody asks for them over TCP.
	Metrics *metrics.Listener
	// Outages is what was seen of the accounts' outage budgets.
	Outages *outage.Watch
	// Reload goes on with what the configuration's file says by now.
	Reload func(ctx context.Context) (difference.Difference, error)
	// Obstacles are what is in the way of what differs and is in cfg.
	Obstacles func(ctx context.Context, cfg *config.Config, d difference.Difference) []string
	// Store is what the Keepers keep the tokens in. Alone waits until nobody reads the
	// configuration again, and keeps everybody from it until done is called.
	Store  store.Store
	Alone  func(ctx context.Context) (done func(), err error)
	Events *event.Bus
}

// Backend implements [control.Backend].
type Backend struct {
	overview
	accounts
	leftovers
	logins
	sinks
	alerts
}

var _ control.Backend = Backend{}

// New returns the Backend over c.
func New(c Config) Backend {
	return Backend{overview{c, &spools.Lookout{}}, accounts{c}, leftovers{c}, logins{c}, sinks{c}, alerts{c}}
}

// keeperOf returns who keeps the token of an account.
func (c Config) keeperOf(account string) (*refresh.Keeper, error) {
	there := c.Roster.Now()
	k, ok := there.KeeperOf(account)
	if !ok {
		return nil, c.unknown("account", account, accountsOf, control.NoAccount(account, there.Config))
	}
	return k, nil
}

// soonAgain is how long is waited for who follows a keeper that was retired.
const soonAgain = 50 * time.Millisecond

// onKeeper does something with who keeps the token of an account, and once more with who
// follows, if the configuration is read again meanwhile. Without a keeper do is not called.
func (c Config) onKeeper(ctx context.Context, account string, do func(k *refresh.Keeper) error) error {
	for {
		k, err := c.keeperOf(account)
		if err != nil {
			return err
		}
		if err = do(k); !errors.Is(err, refresh.ErrRetired) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(soonAgain):
		}
	}
}

// overview is how everything is.
type overview struct {
	Config
	unread *spools.Lookout
}

// Adopt implements [control.Backend].
func (b overview) Adopt(ctx context.Context) (control.AdoptAnswer, error) {
	return b.Ownership.Adopt(ctx)
}
