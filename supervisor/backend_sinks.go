package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
)

// This file lets the control API control the sinks.

// sinkProcess returns the sink if it is a plugin, and so has a process; ok is
// false for one that is built in.
func (s *Supervisor) sinkProcess(name string) (p *plugin.Sink, ok bool) {
	p, ok = s.sinkPlugins[name]
	return p, ok
}

// byPerson is who disables a sink through the control API.
const byPerson = "a person"

func (b backend) Sinks(context.Context) (control.Sinks, error) {
	all := control.Sinks{Now: b.s.opts.Seams.Wall(), Sinks: []control.Sink{}}
	for _, name := range slices.Sorted(maps.Keys(b.s.workers)) {
		all.Sinks = append(all.Sinks, b.s.sinkStatus(name))
	}
	return all, nil
}

func (s *Supervisor) sinkStatus(name string) control.Sink {
	c, m := s.opts.Config.Sinks[name], s.workers[name].Summary()
	k := control.Sink{
		Name: name, Type: c.Type, Events: []string{}, Accounts: []string{},
		UpToDate: m.UpToDate, Behind: m.Behind, Lag: m.Lag, LagAtLeast: m.LagAtLeast, Failing: m.Failing,
		LastError: m.LastError, LastErrorAt: m.LastErrorAt, Next: m.Next, Absent: m.Absent, AbsentBecause: m.AbsentBecause,
		LastDelivery: m.LastDelivery, Latency: m.Latency, Deliveries: m.Deliveries, Failures: m.Failures,
		OpenNotices: m.OpenNotices, Dropped: m.DroppedEvents,
	}
	for _, kind := range m.Kinds {
		k.Events = append(k.Events, string(kind))
	}
	if slices.Contains(m.Kinds, sink.KindToken) {
		k.Accounts = append(k.Accounts, accountNames(s.opts.Config.SinkAccounts(c))...)
	}
	if m.Disabled {
		k.Disabled = &control.Disabled{By: m.DisabledBy, Since: m.DisabledAt}
	}
	if p, ok := s.sinkProcess(name); ok {
		k.Process = sinkProcessStatus(p.Status())
	}
	return k
}

func sinkProcessStatus(p process.Status) *control.SinkProcess {
	return &control.SinkProcess{
		State: string(p.State), PID: p.PID, Generation: p.Generation, StartedAt: p.StartedAt,
		Restarts: p.Restarts, Crashes: p.Crashes, LastError: p.LastError, NextStart: p.NextStart,
		Version: p.Version, Command: p.Command, InFlight: p.InFlight,
	}
}

func (b backend) TestSink(ctx context.Context, name string) (control.SinkTestAnswer, error) {
	w, err := b.s.workerOf(name)
	if err != nil {
		return control.SinkTestAnswer{}, err
	}
	done, err := w.Test(ctx)
	if err != nil {
		return control.SinkTestAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.SinkTestAnswer{Sink: name, Done: done}, nil
}

func (b backend) Redeliver(ctx context.Context, name, account string, force bool) (control.RedeliverAnswer, error) {
	w, err := b.s.workerOf(name)
	if err != nil {
		return control.RedeliverAnswer{}, err
	}
	// A key with a colon is an alert's.
	if account != "" && !strings.Contains(account, ":") {
		if err := b.s.checkRedelivery(name, account); err != nil {
			return control.RedeliverAnswer{}, err
		}
	}
	deliver := w.Redeliver
	if force {
		if account == "" {
			return control.RedeliverAnswer{}, control.Errorf(control.CodeBadRequest,
				"name the account: force writes over what may be the only copy of a login")
		}
		deliver = w.Overwrite
	}
	n, err := deliver(ctx, account)
	switch {
	case err != nil && w.Summary().Disabled:
		return control.RedeliverAnswer{}, control.Errorf(control.CodeConflict, "%v", err)
	case err != nil:
		return control.RedeliverAnswer{}, control.Errorf(control.CodeNotFound, "%v", err)
	}
	return control.RedeliverAnswer{Sink: name, Account: account, Deliveries: n}, nil
}

// checkRedelivery says why an account can't be delivered to a sink once more.
func (s *Supervisor) checkRedelivery(name, account string) error {
	if _, err := s.keeperOf(account); err != nil {
		return err
	}
	c := s.opts.Config.Sinks[name]
	if !c.Sends(config.SendToken) {
		return control.Errorf(control.CodeBadRequest, "sink %q gets no tokens; \"tokenkeeper sinks\" shows what each sink gets", name)
	}
	if there := accountNames(s.opts.Config.SinkAccounts(c)); !slices.Contains(there, account) {
		return control.Errorf(control.CodeBadRequest, "account %q does not go to sink %q; these do: %s", account, name, strings.Join(there, ", "))
	}
	return nil
}

func (b backend) DisableSink(_ context.Context, name string) (control.Sink, error) {
	w, err := b.s.workerOf(name)
	if err != nil {
		return control.Sink{}, err
	}
	w.Disable(byPerson)
	return b.s.sinkStatus(name), nil
}

func (b backend) EnableSink(_ context.Context, name string) (control.Sink, error) {
	w, err := b.s.workerOf(name)
	if err != nil {
		return control.Sink{}, err
	}
	w.Enable()
	return b.s.sinkStatus(name), nil
}

func (b backend) RestartSink(ctx context.Context, name string) (control.SinkRestartAnswer, error) {
	if _, err := b.s.workerOf(name); err != nil {
		return control.SinkRestartAnswer{}, err
	}
	p, ok := b.s.sinkProcess(name)
	if !ok {
		return control.SinkRestartAnswer{}, control.Errorf(control.CodeBadRequest,
			"sink %q has no process: its type %s is built in; to deliver once more, use: tokenkeeper sinks redeliver %s",
			name, b.s.opts.Config.Sinks[name].Type, name)
	}
	a, err := p.Restart(ctx)
	if err != nil {
		return control.SinkRestartAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.SinkRestartAnswer{Sink: name, OldPID: a.OldPID, PID: a.PID, Generation: a.Generation}, nil
}

// workerOf returns the worker of a sink.
func (s *Supervisor) workerOf(name string) (*sink.Worker, error) {
	if w, ok := s.workers[name]; ok {
		return w, nil
	}
	return nil, control.Errorf(control.CodeNotFound, "no sink is named %q%s", name, hint(name, slices.Sorted(maps.Keys(s.workers)), "sinks"))
}

// hint names what there is, what a mistyped name probably meant first; of much
// it names the nearest, or else the verb that lists it.
func hint(name string, known []string, verb string) string {
	const most = 10
	near := nearest(name, known)
	switch all := append(slices.Clone(near), without(known, near)...); {
	case len(known) == 0:
		return "; there is none"
	case len(known) > most && len(near) == 0:
		return fmt.Sprintf("; \"tokenkeeper %s\" lists them", verb)
	case len(known) > most:
		return fmt.Sprintf("; did you mean %q? \"tokenkeeper %s\" lists all", near[0], verb)
	case len(near) > 0:
		return fmt.Sprintf("; did you mean %q? There are: %s", near[0], strings.Join(all, ", "))
	default:
		return "; there are: " + strings.Join(all, ", ")
	}
}

// nearest are those of known that name may be a slip of, the nearest first.
func nearest(name string, known []string) []string {
	distance := func(k string) int { return levenshtein.ComputeDistance(name, k) }
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return distance(k) > max(2, len(name)/3) })
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(distance(a), distance(b)) })
	return near
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}
