package supervisor

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/backend"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/survey"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/metrics"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// This file turns each part of the configuration into its room.

// build opens what is on the disk, and fills the roster.
func (s *Supervisor) build(ctx context.Context) error {
	cfg := s.opts.Config
	var err error
	if s.dir, err = s.openStateDir(); err != nil {
		return err
	}
	if s.ownership, err = ownership.Recognise(ctx, ownership.Config{
		Guard: cfg.MachineGuard, Machine: s.opts.Seams.Machine(), Store: s.dir.Store(), Changed: s.roster.Hold, Events: s.events, Log: s.log,
	}); err != nil {
		return err
	}
	s.survey = survey.New(survey.Config{
		Roster: s.roster, Store: s.dir.Store(), Facts: s.dir.Facts(), Ownership: s.ownership, File: s.file, Started: s.started, Wall: s.opts.Seams.Wall,
	})
	if s.alerts, err = s.newAlerts(ctx); err != nil {
		return err
	}
	make := builder{s, s.roster.Now()}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if err := make.addSink(name); err != nil {
			return err
		}
	}
	s.events.Observe(s.roster.Tell)
	s.events.Observe(s.inquirer.Observe)
	for _, name := range cfg.ProviderNames() {
		if err := make.addProvider(ctx, name); err != nil {
			return err
		}
	}
	if err := dropStrayLogins(ctx, cfg, s.dir.Store(), s.log); err != nil {
		return err
	}
	tellLeft(ctx, cfg, s.dir.Store(), s.opts.Seams.Wall(), s.log)
	s.survey.Carry(s.alerts.Carried())
	if err := make.addHeartbeat(); err != nil {
		return err
	}
	s.shared.InheritLocks()
	if s.door, err = control.OpenDoor(cfg, s.observed.listener(s.opts.Seams.Listen, cfg.Control), s.log); err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	if err := ControlClosed(cfg); err != nil {
		s.log.Warn("the control socket is open to readers, and they don't get at it", "error", err)
	}
	if err := s.openMetrics(); err != nil {
		return err
	}
	s.dir.Started()
	s.noteStanding("when the supervisor started", s.noteConfigured())
	s.postAll()
	return nil
}

// newAlerts builds the alert engine. It looks at everything else only when it runs.
func (s *Supervisor) newAlerts(ctx context.Context) (*alert.Engine, error) {
	return alert.New(ctx, alert.Config{
		Store:    s.dir.Store(),
		Policy:   alertPolicy(s.roster.Now().Config.Alerts),
		Snapshot: s.survey.Take, Wake: s.roster.WakeAlert, Some: s.audience().Some(),
		Told:   func(ctx context.Context, a event.Alert) bool { return s.audience().Told(ctx, s.dir.Store(), a) },
		Events: s.events, Log: s.log,
	})
}

func alertPolicy(c config.Alerts) alert.Policy {
	return alert.Policy{Repeat: c.Repeat, LoginDue: c.LoginDue}
}

func (s *Supervisor) audience() survey.Audience {
	return survey.Audience{Config: s.roster.Now().Config}
}

// newBackend makes what the control API controls, and the heartbeat judges by.
func (s *Supervisor) newBackend() control.Backend {
	return backend.New(backend.Config{
		Version: s.opts.Version, StateDir: s.stateDir(), Observes: s.observed != nil,
		Program: s.program, Started: s.started, Wall: s.opts.Seams.Wall,
		Roster: s.roster, Engine: s.alerts, Ownership: s.ownership,
		File: s.file, Reload: s.Reload, Obstacles: obstaclesOf, Metrics: s.metrics, Outages: s.survey.Outages(), Store: s.dir.Store(), Alone: s.alone, Events: s.events,
	})
}

// builder makes what a configuration says, for who is there from then on.
type builder struct {
	s  *Supervisor
	of *roster.Present
}

// addHeartbeat builds the sign of life that a service elsewhere waits for, if one does.
func (b builder) addHeartbeat() (err error) {
	if b.of.Config.Heartbeat == nil {
		return nil
	}
	b.of.Heartbeat, err = heartbeat.New(*b.of.Config.Heartbeat, heartbeat.With{
		Ready: b.s.ready, Trouble: b.s.trouble, Now: b.s.opts.Seams.Wall, Log: b.s.log,
	})
	return err
}

// openMetrics listens for monitoring systems, if some are to ask.
func (s *Supervisor) openMetrics() (err error) {
	if s.opts.Config.Metrics == nil {
		return nil
	}
	s.metrics, err = metrics.Open(*s.opts.Config.Metrics, func() http.Handler { return control.Monitored(s.backend()) }, s.log)
	return err
}

// addProvider builds what there is of a provider.
func (b builder) addProvider(ctx context.Context, name string) error {
	k, err := b.newKeeper(ctx, name)
	if err != nil {
		return err
	}
	k.Hold(b.s.ownership.Hold())
	b.of.Keepers[name] = k
	b.of.Beats[name] = b.newBeats(name, k)
	b.of.Members[name], err = b.newMember(name, k)
	return err
}

func (b builder) newBeats(provider string, k *refresh.Keeper) *keepalive.Beats {
	return keepalive.New(keepalive.Config{
		Provider: provider, Names: roster.Names(b.of.Config.AccountsOf(provider)), Accounts: k, Events: b.s.events, Log: b.s.log, Wall: b.s.opts.Seams.Wall,
		Probe: b.probe(provider),
	})
}

// probe has a provider's process probed, once it is there.
func (b builder) probe(provider string) func() {
	return func() {
		if m := b.s.roster.Now().Members[provider]; m != nil {
			m.Probe()
		}
	}
}

func (b builder) newKeeper(ctx context.Context, provider string) (*refresh.Keeper, error) {
	var accounts []refresh.Account
	for _, c := range b.of.Config.AccountsOf(provider) {
		a := b.of.Account(c)
		if c.SharedFile != nil {
			f, err := b.s.shared.Add(c, func() { b.s.roster.Touch(c.Name) })
			if err != nil {
				return nil, fmt.Errorf("account %s: %w", c.Name, err)
			}
			a.Shared, a.SharedPath = f, c.SharedFile.Path
			if b.s.observed != nil {
				a.Shared = sharing.OnlyRead{File: f}
			}
		}
		accounts = append(accounts, a)
	}
	c := refresh.Config{
		Provider: provider, Accounts: accounts, Store: b.s.dir.Store(),
		Wake:   func(account string) { b.s.roster.NewToken(provider, account) },
		Events: b.s.events, Log: b.s.log, Wall: b.s.opts.Seams.Wall, Boot: b.s.boot,
		Probe:       b.probe(provider),
		Elsewhere:   b.s.inquirer.Ask,
		Others:      b.s.roster.Others(provider),
		Left:        leftover.Holder(ctx, b.of.Config, b.s.dir.Store(), provider),
		Steered:     func(path string) error { return process.Steered(path, b.of.Config.Trust) },
		MaxInFlight: b.of.Config.Providers[provider].MaxInFlight,
		LoggedIn:    b.s.ownership.LoggedIn,
		Observes:    b.s.observed != nil,
	}
	if b.s.machineClock {
		c.Up = machine.Uptime()
	}
	if b.s.opts.Seams.Launcher == nil && b.s.observed == nil { // processes in memory end with their supervisor
		p := programs.Predecessor(b.of.Config, provider, b.s.log)
		c.Outwait, c.Bequests = p.Outwait, p.Bequests
	}
	return refresh.NewKeeper(ctx, c)
}

// beside is what goes on in each generation of a provider beside its refresh loop; nil:
// nothing does.
func (b builder) beside(provider string) func(context.Context, grpc.ClientConnInterface) error {
	if b.s.observed != nil {
		return nil
	}
	return func(ctx context.Context, conn grpc.ClientConnInterface) error {
		b.of.Beats[provider].Run(ctx, sdk.NewRemote(conn))
		return nil
	}
}

// handOver is how long the next supervisor may take to come, after one was
// killed. So long bots wait, at most, beside the time of the attempt itself.
const handOver = time.Minute

// healthOf is how the process of a provider is watched: one whose connection has broken
// may hear an answer out, and then needs a little to end.
func healthOf(accounts []config.Account) process.HealthPolicy {
	return process.HealthPolicy{DrainGrace: longestRefresh(slices.Values(accounts)) + 5*time.Second}
}

func (b builder) newMember(provider string, k *refresh.Keeper) (*process.Member, error) {
	c := process.Config{
		Name: provider, Work: b.s.observed.work(k), Beside: b.beside(provider), Events: b.s.events, Log: b.s.log, Now: b.s.opts.Seams.Wall,
		Health: healthOf(b.of.Config.AccountsOf(provider)),
	}
	if b.s.opts.Seams.Launcher != nil {
		c.Launcher = b.s.opts.Seams.Launcher(provider)
		return process.New(c), nil
	}
	command, err := programs.OfProvider(b.of.Config, provider, b.s.opts.Builtin)
	if err != nil {
		return nil, err
	}
	command.Log = b.s.log
	if !fdstore.Managed() { // or the next supervisor would wait for the process, and it for that one
		command.HandOver = handOver
	}
	c.Launcher = command
	c.Command = strings.Join(append([]string{command.Path}, command.Args...), " ")
	return process.New(c), nil
}

// addSink builds the sink, and who delivers there.
func (b builder) addSink(name string) (err error) {
	if b.of.Workers[name], err = b.newWorker(b.of.Config.Sinks[name]); err != nil {
		return fmt.Errorf("sink %s: %w", name, err)
	}
	return nil
}

func (b builder) newWorker(c config.Sink) (*sink.Worker, error) {
	to, policy, err := b.newSink(c)
	if err != nil {
		return nil, err
	}
	w := sink.WorkerConfig{
		Name: c.Name, Type: c.Type, Sink: to, Policy: policy, MaxConcurrent: c.MaxConcurrent,
		Accounts: roster.Names(b.of.Config.SinkAccounts(c)), IncludeRefreshToken: c.IncludeRefreshToken,
		WantsAlert: func(a event.Alert) bool { return b.s.audience().Concerns(c, a) },
		Store:      b.s.dir.Store(), Credentials: b.s.roster.Credentials, Events: b.s.events, Wall: b.s.opts.Seams.Wall,
		ReadBack: b.s.inquirer.ReadBack(c), Shape: sink.ShapeOf(c),
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

// newSink makes what delivers there. A worker's own limit of a try must not be the
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
