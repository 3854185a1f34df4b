package backend

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/outage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

func (b overview) Status(ctx context.Context) (control.Status, error) {
	there := b.Roster.Now()
	st := control.Status{
		Version: b.Version, PID: os.Getpid(), StartedAt: b.Started, Now: b.Wall(),
		StateDir: b.StateDir, Observing: b.Observes, Config: there.Config.File,
		Program: b.Program.Path(), ProgramReplaced: b.Program.Replaced(),
		Providers: []control.Provider{}, Accounts: []control.Account{},
	}
	for _, name := range slices.Sorted(maps.Keys(there.Members)) {
		st.Providers = append(st.Providers, providerStatus(name, there.Members[name], there.Keepers[name], st.Now))
		for _, a := range there.Config.AccountsOf(name) {
			k, _ := there.Keepers[name].Status(a.Name)
			acc := control.Account{Name: a.Name, Provider: name, Shown: k.Shown, Advice: k.Advice(), Login: openLogin(k.Login)}
			acc.Session = sessionStatus(there.Beats[name], a.Name, k.Record, st.Now)
			acc.Unread = b.unread.UnreadFile(there.Config, name, k.Unread)
			acc.SetAside = setAside(k.Record, st.Now)
			acc.Sinks = deliveries(there, a.Name, k.Record)
			acc.Outage = b.outageOf(acc, k, st.Now)
			st.Accounts = append(st.Accounts, acc)
		}
	}
	slices.SortFunc(st.Accounts, func(x, y control.Account) int { return cmp.Compare(x.Name, y.Name) })
	st.Left, _ = leftover.In(ctx, there.Config, b.Store, st.Now) // a store that can't be read is told otherwise
	alerts, err := b.Engine.Alerts(ctx)
	if err != nil {
		return st, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	st.Alerts = openAlerts(alerts)
	if st.LookedAt = b.Engine.Looked(); st.LookedAt.IsZero() { // a first look that never ends is noticed, too
		st.LookedAt = b.Started
	}
	if there.Heartbeat != nil {
		sign := there.Heartbeat.Status()
		st.Heartbeat = &sign
	}
	if b.Metrics != nil {
		listener := b.Metrics.Status()
		st.Metrics = &listener
	}
	st.Machine = b.Ownership.Status()
	b.addConfig(&st)
	return st, nil
}

func providerStatus(name string, m *process.Member, k *refresh.Keeper, now time.Time) control.Provider {
	l := k.Load()
	p := control.Provider{
		Name: name, Status: m.Status(), Stuck: k.Stuck(), MaxInFlight: l.Slots, Overdue: l.Overdue, Overloaded: l.Overloaded(now),
		NeededRate: l.Needed, PossibleRate: l.Possible(), AnswerTime: l.Answer, AnswerTimeAssumed: !l.Measured, Measured: k.Measured(),
	}
	p.OldProgram = m.OldProgram()
	select {
	case <-m.Ready():
	default:
		p.Unanswered = true
	}
	return p
}

// sessionStatus is what is known of the session of a version; nil: nothing.
func sessionStatus(b *keepalive.Beats, account string, rec store.Record, now time.Time) *control.Session {
	s, _, known := roster.Session(b, account, rec, now)
	if !known {
		return nil
	}
	return &s
}

// setAside are the answers that a person can still take.
func setAside(r store.Record, now time.Time) (all []control.SetAside) {
	for _, e := range r.Late(now) {
		s := control.SetAside{Attempt: e.Attempt, Kind: e.Kind, Version: e.Version, Grant: e.Begins(), At: e.At, Until: e.Until, Why: e.Why}
		if p := refresh.PersonIn(e.Token); p.Fingerprint != "" {
			s.Person = p.String()
		}
		all = append(all, s)
	}
	return all
}

func deliveries(there *roster.Present, account string, rec store.Record) []control.Delivery {
	out := []control.Delivery{}
	for _, name := range slices.Sorted(maps.Keys(there.Workers)) {
		if !there.Workers[name].Takes(account) {
			continue
		}
		w := there.Workers[name]
		d := control.Delivery{Sink: name, Type: w.Type(), Status: w.Status(account)}
		if rec.Version > d.Version {
			d.Behind = rec.Version - d.Version
		}
		out = append(out, d)
	}
	return out
}

// outageOf is the outage budget of an account; nil: nobody knows it.
func (b overview) outageOf(a control.Account, k refresh.Status, now time.Time) *control.Outage {
	held := make([]outage.Held, len(a.Sinks))
	for n, d := range a.Sinks {
		held[n] = outage.Held{Sink: d.Sink, Status: d.Status}
	}
	r := outage.Read(k, held)
	short := b.Outages.Saw(a.Name, r, now)
	if !r.Known() {
		return nil
	}
	o := &control.Outage{Left: r.Left(now), Until: r.Until, Sink: r.Sink, Planned: r.Planned, Short: short > 0, Worst: r.Left(now)}
	if worst, ok := b.Outages.Worst(a.Name, now); ok {
		o.Worst = worst
	}
	return o
}

// Health implements [control.Backend].
func (b overview) Health(ctx context.Context) control.Health {
	st, err := b.Status(ctx)
	if err != nil {
		return verdict.Speechless(err)
	}
	return verdict.Health(st, st.Now)
}
