package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// sinks lets a person see and control the sinks.
type sinks struct{ Config }

func (b sinks) Sinks(context.Context) (control.Sinks, error) {
	all := control.Sinks{Now: b.Wall(), Sinks: []control.Sink{}, Observing: b.Observes}
	there := b.Roster.Now()
	for _, name := range slices.Sorted(maps.Keys(there.Workers)) {
		all.Sinks = append(all.Sinks, sinkStatus(there, name))
	}
	return all, nil
}

func sinkStatus(there *roster.Present, name string) control.Sink {
	c, m := there.Config.Sinks[name], there.Workers[name].Summary()
	k := control.Sink{Name: name, Type: c.Type, Accounts: []string{}, Summary: m}
	if k.Kinds == nil {
		k.Kinds = []sink.Kind{}
	}
	if slices.Contains(m.Kinds, sink.KindToken) {
		k.Accounts = append(k.Accounts, roster.Names(there.Config.SinkAccounts(c))...)
	}
	if m.Disabled {
		k.Disabled = &control.Disabled{By: m.DisabledBy, Since: m.DisabledAt}
	}
	if p, ok := there.Plugins[name]; ok {
		st := p.Status()
		st.OldProgram = p.OldProgram()
		k.Process = &st
	}
	return k
}

func (b sinks) TestSink(ctx context.Context, name string) (control.SinkTestAnswer, error) {
	w, err := b.workerOf(b.Roster.Now(), name)
	if err != nil {
		return control.SinkTestAnswer{}, err
	}
	done, err := w.Test(ctx)
	if err != nil {
		return control.SinkTestAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.SinkTestAnswer{Sink: name, Done: done}, nil
}

func (b sinks) Redeliver(ctx context.Context, name, account string, force bool) (control.RedeliverAnswer, error) {
	w, err := b.workerOf(b.Roster.Now(), name)
	if err != nil {
		return control.RedeliverAnswer{}, err
	}
	// A key with a colon is an alert's.
	if account != "" && !strings.Contains(account, ":") {
		if err := b.checkRedelivery(name, account); err != nil {
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
	case errors.Is(err, sink.ErrExpired), err != nil && w.Summary().Disabled:
		return control.RedeliverAnswer{}, control.Errorf(control.CodeConflict, "%v", err)
	case err != nil:
		return control.RedeliverAnswer{}, control.Errorf(control.CodeNotFound, "%v", err)
	}
	return control.RedeliverAnswer{Sink: name, Account: account, Deliveries: n}, nil
}

// checkRedelivery says why an account can't be delivered to a sink once more.
func (b sinks) checkRedelivery(name, account string) error {
	if _, err := b.keeperOf(account); err != nil {
		return err
	}
	there := b.Roster.Now().Config
	c := there.Sinks[name]
	if !c.Sends(config.SendToken) {
		return control.Errorf(control.CodeBadRequest, "sink %q gets no tokens; \"tokenkeeper sinks\" shows what each sink gets", name)
	}
	if all := roster.Names(there.SinkAccounts(c)); !slices.Contains(all, account) {
		return control.Errorf(control.CodeBadRequest, "account %q does not go to sink %q; these do: %s", account, name, strings.Join(all, ", "))
	}
	return nil
}

func (b sinks) DisableSink(_ context.Context, name string) (control.Sink, error) {
	there := b.Roster.Now()
	w, err := b.workerOf(there, name)
	if err != nil {
		return control.Sink{}, err
	}
	w.Disable(control.ByPerson)
	return sinkStatus(there, name), nil
}

func (b sinks) EnableSink(_ context.Context, name string) (control.Sink, error) {
	there := b.Roster.Now()
	w, err := b.workerOf(there, name)
	if err != nil {
		return control.Sink{}, err
	}
	w.Enable()
	return sinkStatus(there, name), nil
}

func (b sinks) RestartSink(ctx context.Context, name string) (control.SinkRestartAnswer, error) {
	there := b.Roster.Now()
	if _, err := b.workerOf(there, name); err != nil {
		return control.SinkRestartAnswer{}, err
	}
	p, ok := there.Plugins[name]
	if !ok {
		return control.SinkRestartAnswer{}, control.Errorf(control.CodeBadRequest,
			"sink %q has no process: its type %s is built in; to deliver once more, use: tokenkeeper sinks redeliver %s",
			name, there.Config.Sinks[name].Type, name)
	}
	a, err := p.Restart(ctx)
	if err != nil {
		return control.SinkRestartAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.SinkRestartAnswer{Sink: name, OldPID: a.OldPID, PID: a.PID, Generation: a.Generation}, nil
}

// workerOf returns the worker of a sink.
func (b sinks) workerOf(there *roster.Present, name string) (*sink.Worker, error) {
	if w, ok := there.Workers[name]; ok {
		return w, nil
	}
	return nil, b.unknown("sink", name, sinksOf, control.Errorf(control.CodeNotFound,
		"no sink is named %q%s", name, control.Hint(name, slices.Sorted(maps.Keys(there.Workers)), "sinks")))
}
