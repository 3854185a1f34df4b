package supervisor

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// newAlerts builds the alert engine over the store, which must be open. It
// looks at everything else only when it runs.
func (s *Supervisor) newAlerts(ctx context.Context) (*alert.Engine, error) {
	c := s.opts.Config
	return alert.New(ctx, alert.Config{
		Store:    s.store,
		Policy:   alert.Policy{Repeat: c.Alerts.Repeat, LoginDue: c.Alerts.LoginDue},
		Snapshot: s.snapshot, Wake: s.wakeAlert, Told: s.alertTold, Some: s.someAccounts(),
		Events: s.events, Log: s.log,
	})
}

// carry gives the troubles of an earlier run to the rooms that met them, which
// alone can say that they are over.
func (s *Supervisor) carry(facts []event.Fact) {
	for _, f := range facts {
		if k, ok := s.keepers[f.Provider]; ok && f.Type != event.StoreRestored {
			k.Carry(f)
		} else {
			s.facts.Keep(f)
		}
	}
}

// inTurn is how many accounts a look sees of which nothing has changed: what time
// alone brings, the end of a login, is found so among a hundred thousand within an
// hour.
const inTurn = 1000

// turns is whose turn it is to be looked at. Only the alert engine looks.
type turns struct {
	names []string // of all accounts
	next  int
}

// snapshot is how everything stands at this moment: of the accounts, those that
// are asked for, those of which something has changed, and some more in turn; at
// first all.
func (s *Supervisor) snapshot(asked map[string]bool) alert.Snapshot {
	names := maps.Clone(asked)
	some := inTurn
	if s.turns.names == nil {
		s.turns.names = slices.Sorted(maps.Keys(s.opts.Config.Accounts))
		some = len(s.turns.names)
	}
	for range min(some, len(s.turns.names)) {
		names[s.turns.names[s.turns.next]] = true
		s.turns.next = (s.turns.next + 1) % len(s.turns.names)
	}
	for _, k := range s.keepers {
		maps.Copy(names, k.Changed())
	}
	for _, b := range s.beats {
		maps.Copy(names, b.Changed())
	}
	shot := alert.Snapshot{Now: s.opts.Seams.Wall(), Facts: s.facts.All()}
	if err := s.store.Fault(); err != nil {
		shot.StoreFault = err.Error()
	}
	shot.OtherMachine, shot.OtherTodo = s.ownership.trouble()
	maintenance := map[string]time.Time{}
	for name, m := range s.providers {
		shot.Processes = append(shot.Processes, processAlerts(name, false, m.Status()))
		maintenance[name] = alert.Maintenance(windows(s.opts.Config.Providers[name]), shot.Now)
		shot.Facts = append(shot.Facts, s.keepers[name].Facts()...)
		load := loadAlerts(name, s.keepers[name].Load(), shot.Now)
		load.Excused = !maintenance[name].IsZero()
		shot.Loads = append(shot.Loads, load)
	}
	shot.Accounts = make([]alert.Account, 0, len(names))
	for name := range names {
		c := s.opts.Config.Accounts[name] // what is not configured any more has no keeper
		if keeper, ok := s.keepers[c.Provider]; ok {
			k, _ := keeper.Status(name)
			a := accountAlerts(c, k, s.started, shot.Now)
			a.Maintenance = maintenance[c.Provider]
			a.Session = sessionAlerts(s.beats[c.Provider], name, k.Record, shot.Now)
			if a.Unread = spools.UnreadFile(s.opts.Config, c.Provider, k.Unread); a.Unread == "" && k.Unread != "" {
				a.Unread = "the provider's spool" // which is about to put it aside
			}
			shot.Accounts = append(shot.Accounts, a)
		}
	}
	shot.Facts = slices.DeleteFunc(shot.Facts, s.outlived)
	for name, w := range s.workers {
		shot.Sinks = append(shot.Sinks, sinkAlerts(name, w.Summary(), s.started, shot.Now))
		if p, ok := s.sinkPlugins[name]; ok {
			shot.Processes = append(shot.Processes, processAlerts(name, true, p.Status()))
		}
	}
	return shot
}

// outlived says whether the account has a token that was made since: it was
// restored, and so maybe spent, no longer.
func (s *Supervisor) outlived(f event.Fact) bool {
	k, ok := s.keepers[f.Provider]
	if !ok || f.Type != event.StoreRestored {
		return false
	}
	status, _ := k.Status(f.Account)
	return status.Record.StoredAt.After(f.At)
}

func accountAlerts(c config.Account, k refresh.Status, started, now time.Time) alert.Account {
	r := k.Record
	a := alert.Account{
		Name: c.Name, Provider: c.Provider, NeedsLogin: (r.Version > 0 || r.Key != "") && r.NeedsLogin(), Undecided: k.Undecided,
		Mints: r.Key != "", By: k.By, Act: k.Act, Spent: k.Spent,
		Failures: r.Health.Failures, MaxFailures: k.MaxFailures, Misconfigured: r.Health.LastKind == sdk.KindInvalidClient,
		LastError: r.Health.LastError, FailedAt: r.Health.LastFailure, AmbiguousSince: k.AmbiguousSince,
		RefreshExpiry: r.RefreshExpiry, Uncertain: r.LoginUncertain,
		Asked: k.Asked, Ways: k.Ways, Zone: k.Zone, ZoneSink: k.ZoneSink, Shut: k.Shut, Elsewhere: k.Elsewhere, LoginUnknown: k.LoginEnd == refresh.EndUnknown,
		PolicyKnown: k.Met, Sliding: k.EndMoves, LoginLife: loginLife(r),
	}
	if k.EndGuessed && !r.LoginUncertain {
		a.RefreshExpiry = time.Time{} // what no broker documents wakes nobody
	}
	if r.CanMint() { // what comes after the login's end comes by itself
		a.RefreshExpiry, a.LoginUnknown = time.Time{}, false
	}
	if now.Before(k.Forgiven) || k.Mints || r.CanMint() {
		a.AmbiguousSince = time.Time{} // the same refresh token is accepted again, and sent; or another one is minted
	}
	if r.Version > 0 {
		a.StoredAt, a.Renewed, a.Expiry = r.StoredAt, r.StoredAt.After(started), r.Token.Expiry()
		a.ExpiryUncertain = r.Token.Uncertain
	}
	switch {
	case k.SessionGone && r.Way == store.WayLogin:
		a.NeedsLogin, a.LastError = true, refresh.SessionOver
	case k.State == refresh.NeedsLogin && !r.NeedsLogin() && !r.Held:
		a.NeedsLogin, a.Ended = true, "its login has ended "+moment.Stamp(r.RefreshExpiry)
		if k.EndGuessed {
			a.Ended += ", as far as anybody knows"
		}
	}
	a.Waits, a.WaitsFor = refresh.CandidateText(r, now)
	return a
}

// loginLife is for how long the login of an account lives in all; 0: nobody knows.
func loginLife(r store.Record) time.Duration {
	switch {
	case r.RefreshExpiry.IsZero():
	case !r.LoginAt.IsZero():
		return r.RefreshExpiry.Sub(r.LoginAt)
	case r.Way == store.WayLogin: // each token is of a login of its own
		return r.RefreshExpiry.Sub(r.Token.IssuedAt)
	}
	return 0
}

// sessionAlerts is how the session of an account's newest version is. A token that is
// dead, or was refused, has none.
func sessionAlerts(b *keepalive.Beats, account string, rec store.Record, now time.Time) alert.Session {
	s, ok := b.Session(account)
	switch {
	case !ok, !hasSession(rec, now):
		return alert.Session{State: alert.SessionNone}
	case s.Version != rec.Version:
		return alert.Session{State: alert.SessionUnknown}
	}
	a := alert.Session{State: alert.SessionUnknown, Since: s.Since}
	switch s.Life {
	case sdk.Alive:
		a.State = alert.SessionAlive
	case sdk.Competing:
		a.State = alert.SessionCompeting
	case sdk.Gone:
		a.State = alert.SessionGone
	}
	a.Unheard, a.Late = s.Unheard, s.Late
	return a
}

func hasSession(rec store.Record, now time.Time) bool {
	return rec.Version > 0 && !refresh.AccessRefused(rec) && rec.Token.Valid(now)
}

// windows are the broker's times of maintenance.
func windows(p config.Provider) (all []alert.Window) {
	for _, m := range p.Maintenance {
		all = append(all, alert.Window(m))
	}
	return all
}

func processAlerts(name string, ofSink bool, st process.Status) alert.Process {
	p := alert.Process{Name: name, OfSink: ofSink, RunningSince: st.StartedAt, Crashes: st.Crashes, LastError: st.LastError}
	switch st.State {
	case process.Running:
		p.State = alert.ProcessRunning
	case process.Crashing:
		p.State = alert.ProcessCrashing
	case process.Parked:
		p.State = alert.ProcessParked
	}
	return p
}

func sinkAlerts(name string, m sink.Summary, started, now time.Time) alert.Sink {
	k := alert.Sink{
		Name: name, Gone: m.Gone, Off: m.Disabled && m.DisabledBy == byPerson,
		Failing: m.Failing, Refused: m.Refused, Lag: m.Lag, Since: now.Add(-m.Lag), LastDelivery: m.LastDelivery, LastError: m.LastError,
		Unknown: m.Unknown, UnknownError: m.UnknownError, AbsentBecause: m.AbsentBecause,
	}
	if m.Absent {
		k.Waited = min(m.Lag, now.Sub(started))
	}
	return k
}

// wakeAlert tells every sink that an alert has a new state.
func (s *Supervisor) wakeAlert(key string) {
	for _, w := range s.workers {
		w.WakeAlert(key)
	}
}

// alertTold says whether every sink has been told of what it may see of the
// alert's newest state, or can't be.
func (s *Supervisor) alertTold(ctx context.Context, a event.Alert) bool {
	for name, c := range s.opts.Config.Sinks {
		part, ok := alert.Narrow(a, s.alertAccounts(c))
		if !ok || !c.Sends(config.SendAlert) || !s.alertConcerns(c, part) {
			continue
		}
		line, err := s.store.Delivery(ctx, name, a.Key)
		if err != nil {
			return false
		}
		refused := line.Result == store.ResultRefused && line.TriedVersion >= part.Version
		if line.Version < part.Version && !refused {
			return false
		}
	}
	return true
}

// alertConcerns says whether an alert goes to a sink that takes alerts: one
// about an account to the sinks of that account, one about a provider to those
// of any of its accounts, and any other to all; but no sink is told of itself.
func (s *Supervisor) alertConcerns(c config.Sink, a event.Alert) bool {
	return a.Sink != c.Name && s.opts.Config.SinkWants(c, a.Account, a.Provider)
}

// someAccounts are what the sinks want that are not told of all accounts.
func (s *Supervisor) someAccounts() (all []alert.Wants) {
	for _, c := range s.opts.Config.Sinks {
		if wants := s.alertAccounts(c); wants != nil && c.Sends(config.SendAlert) {
			all = append(all, wants)
		}
	}
	return all
}

// alertAccounts are the accounts of which a sink is told; nil: all.
func (s *Supervisor) alertAccounts(c config.Sink) alert.Wants {
	if len(c.Accounts)+len(c.Providers) == 0 {
		return nil
	}
	return func(account, provider string) bool { return s.opts.Config.SinkWants(c, account, provider) }
}

func loadAlerts(provider string, l refresh.Load, now time.Time) alert.Load {
	return alert.Load{
		Provider: provider, Overloaded: l.Serving && l.Overloaded(now), Well: l.Serving && l.Since.IsZero(), Since: l.Since,
		Overdue: l.Overdue, Waiting: l.Waiting, Rates: l.Capacity.String(), Remedy: l.Remedy(provider),
	}
}
