package survey

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/outage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file says what the rooms know in the words of alerts.

func accountAlerts(c config.Account, k refresh.Status, started, now time.Time) alert.Account {
	r := k.Record
	a := alert.Account{
		Name: c.Name, Provider: c.Provider, NeedsLogin: (r.Version > 0 || r.Key != "") && r.NeedsLogin(), Undecided: k.Undecided,
		Mints: r.Key != "", By: k.By, Act: k.Act, Spent: k.Spent,
		Failures: r.Health.Failures, MaxFailures: k.MaxFailures, Misconfigured: r.Health.LastKind == sdk.KindInvalidClient,
		LastError: r.Health.LastError, FailedAt: r.Health.LastFailure, AmbiguousSince: k.AmbiguousSince,
		RefreshExpiry: r.RefreshExpiry, Uncertain: r.LoginUncertain,
		Asked: k.Asked, Ways: k.Ways, Zone: k.Zone, ZoneSink: k.ZoneSink, Shut: k.Shut, GrantedElsewhere: k.GrantedElsewhere, LoginUnknown: k.LoginEnd == refresh.EndUnknown,
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
	if k.Pause != nil {
		a.Pause, a.PausedSince = refresh.PauseText(*k.Pause), k.Pause.Since
	}
	if r.Version > 0 {
		a.StoredAt, a.Renewed, a.Expiry = r.StoredAt, r.StoredAt.After(started), r.Token.Expiry()
		a.ExpiryUncertain = r.Token.Uncertain
	}
	switch {
	case k.SessionGone && r.Way == store.WayLogin:
		a.NeedsLogin, a.LastError = true, refresh.SessionOver
	case k.State == refresh.NeedsLogin && !r.NeedsLogin() && !r.Held:
		a.NeedsLogin, a.Ended = true, "its login ended "+moment.Stamp(r.RefreshExpiry)
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
	s, has, known := roster.Session(b, account, rec, now)
	switch {
	case !has:
		return alert.Session{State: alert.SessionNone}
	case !known:
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

// outageAlerts is the outage budget of an account that is short for so long. What waits for
// a person is told by another alert, and a login that is open may take a token's time.
func outageAlerts(r outage.Reading, short time.Duration, waits promise.Reason, now time.Time) alert.Outage {
	if !r.Known() || waits.TakesPerson() || waits == promise.LoginOpen {
		return alert.Outage{}
	}
	return alert.Outage{Left: r.Left(now), Planned: r.Planned, Until: r.Until, Sink: r.Sink, Behind: r.Behind, Short: short, Well: short == 0}
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
		Name: name, Gone: m.Gone, Off: m.Disabled && m.DisabledBy == control.ByPerson,
		Failing: m.Failing, Refused: m.Refused, Hung: m.Hung, Lag: m.Lag, Since: now.Add(-m.Lag), LastDelivery: m.LastDelivery, LastError: m.LastError,
		InRow: m.InRow, MaxFailures: m.MaxFailures, Shut: m.Shut, ShutSince: m.ShutSince,
		Unknown: m.Unknown, UnknownError: m.UnknownError, AbsentBecause: m.AbsentBecause,
	}
	if m.Absent {
		k.Waited = min(m.Lag, now.Sub(started))
	}
	return k
}

func loadAlerts(provider string, l refresh.Load, now time.Time) alert.Load {
	return alert.Load{
		Provider: provider, Overloaded: l.Serving && l.Overloaded(now), Well: l.Serving && l.Since.IsZero(), Since: l.Since,
		Overdue: l.Overdue, Waiting: l.Waiting, Rates: l.Capacity.String(), Remedy: l.Remedy(provider),
	}
}
