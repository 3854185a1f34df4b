package supervisor

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// This file turns each sink of the configuration into a destination and its
// worker.

// addSink builds the destination, and who delivers there.
func (b builder) addSink(name string) (err error) {
	if b.of.Workers[name], err = b.newWorker(b.of.Config.Sinks[name]); err != nil {
		return fmt.Errorf("sink %s: %w", name, err)
	}
	return nil
}

func (b builder) newWorker(c config.Sink) (*sink.Worker, error) {
	destination, policy, err := b.newSink(c)
	if err != nil {
		return nil, err
	}
	w := sink.WorkerConfig{
		Name: c.Name, Type: c.Type, Sink: destination, Policy: policy, MaxConcurrent: c.MaxConcurrent,
		Accounts: roster.Names(b.of.Config.SinkAccounts(c)), IncludeRefreshToken: c.IncludeRefreshToken,
		WantsAlert: func(a event.Alert) bool { return b.s.audience().Concerns(c, a) },
		Store:      b.s.dir.Store(), Credentials: b.s.roster.Credentials, Events: b.s.events, Wall: b.s.opts.Seams.Wall,
		ReadBack: b.s.inquirer.ReadBack(c),
	}
	for _, kind := range c.Events {
		w.Kinds = append(w.Kinds, sink.Kind(kind))
	}
	if b.s.alerts != nil {
		w.Alerts = b.s.alerts.For(b.wants(c))
	}
	if err := sink.CheckWorker(w); err != nil {
		return nil, err
	}
	return sink.NewWorker(w), nil
}

// wants says what a sink may see of the accounts, by the configuration of the moment; nil:
// everything.
func (b builder) wants(c config.Sink) alert.Wants {
	if len(c.Accounts)+len(c.Providers) == 0 {
		return nil
	}
	return func(account, provider string) bool { return b.s.roster.Now().Config.SinkWants(c, account, provider) }
}

// newSink makes the destination. A worker's own limit of a try must not be the
// shorter one, so each policy's is beyond that of the sink.
func (b builder) newSink(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	if t, ok := types.Of(c.Type); ok {
		return t.New(c, sink.With{Trust: b.of.Config.Trust})
	}
	return b.newPlugin(c)
}

// newPlugin makes a sink whose process the Supervisor runs too.
func (b builder) newPlugin(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	command, err := programs.OfSink(b.of.Config, c)
	if err != nil {
		return nil, sink.RetryPolicy{}, err
	}
	d, policy, err := plugin.Configured(c, plugin.Config{Command: command, Events: b.s.events, Log: b.s.log, Now: b.s.opts.Seams.Wall})
	if err != nil {
		return nil, policy, err
	}
	b.of.Plugins[c.Name] = d
	return d, policy, nil
}
