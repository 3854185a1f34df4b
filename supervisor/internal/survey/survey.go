// Package survey looks at everything that a supervisor is made of and says how it
// stands, for the alerts and for the log.
package survey

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/outage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Store is where deliveries are noted.
type Store interface {
	// Fault is why the store is not durable; nil: it is.
	Fault() error
	Delivery(ctx context.Context, sink, account string) (store.Delivery, error)
}

// Config is what a Survey looks at.
type Config struct {
	Roster    *roster.Roster
	Store     Store
	Facts     *event.Facts // of the store and its disk
	Ownership *ownership.Ownership
	File      *configfile.File // nil: it is never read again
	Started   time.Time
	Wall      func() time.Time
}

// Survey looks again and again, for one who asks.
type Survey struct {
	cfg     Config
	turns   turns
	unread  spools.Lookout
	outages *outage.Watch
}

// New looks at nothing yet. The roster may be filled later.
func New(c Config) *Survey { return &Survey{cfg: c, outages: outage.NewWatch()} }

// Outages is what was seen of the accounts' outage budgets.
func (s *Survey) Outages() *outage.Watch { return s.outages }

// Carry gives the troubles of an earlier run to the rooms that met them, which
// alone can say that they are over.
func (s *Survey) Carry(facts []event.Fact) {
	there := s.cfg.Roster.Now()
	for _, f := range facts {
		if k, ok := there.Keepers[f.Provider]; ok && f.Type != event.StoreRestored {
			k.Carry(f)
		} else {
			s.cfg.Facts.Keep(f)
		}
	}
}

// inTurn is how many accounts a look sees of which nothing has changed: what time
// alone brings, the end of a login, is found so among a hundred thousand within an
// hour.
const inTurn = 1000

// turns is whose turn it is to be looked at. Only the alert engine looks.
type turns struct {
	of    *roster.Present
	names []string // of all accounts
	next  int
}

// Take returns how everything stands at this moment: of the accounts, those that
// are asked for, those of which something has changed, and some more in turn; at
// first, and when other ones are there, all.
func (s *Survey) Take(asked map[string]bool) alert.Snapshot {
	names, there := maps.Clone(asked), s.cfg.Roster.Now()
	some := inTurn
	if s.turns.of != there {
		s.turns = turns{of: there, names: slices.Sorted(maps.Keys(there.Config.Accounts))}
		some = len(s.turns.names)
		s.outages.Keep(func(account string) bool { return there.Config.Accounts[account].Name != "" })
	}
	for range min(some, len(s.turns.names)) {
		names[s.turns.names[s.turns.next]] = true
		s.turns.next = (s.turns.next + 1) % len(s.turns.names)
	}
	for _, k := range there.Keepers {
		maps.Copy(names, k.Changed())
	}
	for _, b := range there.Beats {
		maps.Copy(names, b.Changed())
	}
	shot := alert.Snapshot{Now: s.cfg.Wall(), Facts: s.cfg.Facts.All()}
	if err := s.cfg.Store.Fault(); err != nil {
		shot.StoreFault = err.Error()
	}
	shot.OtherMachine, shot.OtherTodo = s.cfg.Ownership.Trouble()
	if s.cfg.File != nil {
		if failed := s.cfg.File.Failure(); failed != nil {
			shot.ReloadFailed = failed.Why
		}
	}
	maintenance := map[string]time.Time{}
	for name, m := range there.Members {
		shot.Processes = append(shot.Processes, processAlerts(name, false, m.Status()))
		maintenance[name] = alert.Maintenance(windows(there.Config.Providers[name]), shot.Now)
		shot.Facts = append(shot.Facts, there.Keepers[name].Facts()...)
		load := loadAlerts(name, there.Keepers[name].Load(), shot.Now)
		load.Excused = !maintenance[name].IsZero()
		shot.Loads = append(shot.Loads, load)
	}
	shot.Accounts = make([]alert.Account, 0, len(names))
	budgets := outage.NewReader(there)
	for name := range names {
		c := there.Config.Accounts[name] // what is not configured any more has no keeper
		if keeper, ok := there.Keepers[c.Provider]; ok {
			k, _ := keeper.Status(name)
			a := accountAlerts(c, k, s.cfg.Started, shot.Now)
			a.Maintenance = maintenance[c.Provider]
			budget := budgets.Of(name, k)
			a.Outage = outageAlerts(budget, s.outages.Saw(name, budget, shot.Now), k.Waiting, shot.Now)
			a.Session = sessionAlerts(there.Beats[c.Provider], name, k.Record, shot.Now)
			if a.Unread = s.unread.UnreadFile(there.Config, c.Provider, k.Unread); a.Unread == "" && k.Unread != "" {
				a.Unread = "the provider's spool" // which is about to put it aside
			}
			shot.Accounts = append(shot.Accounts, a)
		}
	}
	shot.Facts = slices.DeleteFunc(shot.Facts, func(f event.Fact) bool { return outlived(there, f) })
	for name, w := range there.Workers {
		shot.Sinks = append(shot.Sinks, sinkAlerts(name, w.Summary(), s.cfg.Started, shot.Now))
		if p, ok := there.Plugins[name]; ok {
			shot.Processes = append(shot.Processes, processAlerts(name, true, p.Status()))
		}
	}
	return shot
}

// outlived says whether the account has a token that was made since: it was
// restored, and so maybe spent, no longer.
func outlived(there *roster.Present, f event.Fact) bool {
	k, ok := there.Keepers[f.Provider]
	if !ok || f.Type != event.StoreRestored {
		return false
	}
	status, _ := k.Status(f.Account)
	return status.Record.StoredAt.After(f.At)
}
