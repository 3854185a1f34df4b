package supervisor

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// This file turns each sink of the configuration into a destination and its
// worker.

func (s *Supervisor) newWorker(c config.Sink) (*sink.Worker, error) {
	destination, policy, err := s.newSink(c)
	if err != nil {
		return nil, err
	}
	w := sink.WorkerConfig{
		Name: c.Name, Type: c.Type, Sink: destination, Policy: policy, MaxConcurrent: c.MaxConcurrent,
		Accounts: roster.Names(s.opts.Config.SinkAccounts(c)), IncludeRefreshToken: c.IncludeRefreshToken,
		WantsAlert: func(a event.Alert) bool { return s.audience().Concerns(c, a) },
		Store:      s.dir.Store(), Credentials: s.roster.Credentials, Events: s.events, Wall: s.opts.Seams.Wall,
		ReadBack: s.inquirer.ReadBack(c),
	}
	for _, kind := range c.Events {
		w.Kinds = append(w.Kinds, sink.Kind(kind))
	}
	if s.alerts != nil {
		w.Alerts = s.alerts.For(s.audience().Accounts(c))
	}
	if err := sink.CheckWorker(w); err != nil {
		return nil, err
	}
	return sink.NewWorker(w), nil
}

// newSink makes the destination. A worker's own limit of a try must not be the
// shorter one, so each policy's is beyond that of the sink.
func (s *Supervisor) newSink(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	if t, ok := types.Of(c.Type); ok {
		return t.New(c, sink.With{Trust: s.opts.Config.Trust})
	}
	return s.newPlugin(c)
}

// newPlugin makes a sink whose process the Supervisor runs too.
func (s *Supervisor) newPlugin(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	command, err := programs.OfSink(s.opts.Config, c)
	if err != nil {
		return nil, sink.RetryPolicy{}, err
	}
	d, policy, err := plugin.Configured(c, plugin.Config{Command: command, Events: s.events, Log: s.log, Now: s.opts.Seams.Wall})
	if err != nil {
		return nil, policy, err
	}
	s.roster.Plugins[c.Name] = d
	return d, policy, nil
}
