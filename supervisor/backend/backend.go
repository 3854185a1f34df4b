// Package backend is what the control API controls: the parts of one supervisor, seen
// and moved through the small interface of each.
package backend

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/metrics"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
)

// Config is what a Backend is over.
type Config struct {
	Version   string // of the program
	Program   *programs.Own
	Started   time.Time
	Wall      func() time.Time
	Roster    *roster.Roster
	File      *configfile.File
	Engine    *alert.Engine
	Ownership *ownership.Ownership
	// Heartbeat is nil if no service waits for one.
	Heartbeat *heartbeat.Heartbeat
	// Metrics is nil if nobody asks for them over TCP.
	Metrics *metrics.Listener
}

// Backend implements [control.Backend].
type Backend struct {
	overview
	accounts
	logins
	sinks
	alerts
}

var _ control.Backend = Backend{}

// New returns the Backend over c.
func New(c Config) Backend {
	return Backend{overview{c, &spools.Lookout{}}, accounts{c}, logins{c}, sinks{c}, alerts{c}}
}

// keeperOf returns who keeps the token of an account.
func (c Config) keeperOf(account string) (*refresh.Keeper, error) {
	k, ok := c.Roster.KeeperOf(account)
	if !ok {
		return nil, c.unknown("account", account, accountsOf, control.NoAccount(account, c.Roster.Config))
	}
	return k, nil
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
