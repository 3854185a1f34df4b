// Package supervisor wires the rooms together and runs them: a root run.Group
// with the control API, the set of providers, the set of sinks and the service
// manager's watchdog.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/tokenkeeper/tokenkeeper/supervisor/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/watchdog"
)

// Options is what a Supervisor is made of. `run`, the demo and every test use
// the same constructor; only the fields of Seams may differ between them.
type Options struct {
	Config  *config.Config
	Version string
	Log     *slog.Logger
	// Builtin returns the command of a provider that is part of the program.
	Builtin func(provider string) (command []string, ok bool)
	// Stored is where the service manager keeps descriptors over a restart; nil:
	// there is none.
	Stored *fdstore.Store
	Seams  Seams
}

// Seams are the places where a test or a simulation may differ from the real
// thing. Zero values are the real thing.
type Seams struct {
	// Launcher starts a provider's process.
	Launcher func(provider string) process.Launcher
	// Wall is the wall clock. A simulation sets it in any case: the real one
	// is followed with a timer of the kernel.
	Wall func() time.Time
	// Listen opens the control API's listener.
	Listen func(socket string) (net.Listener, error)
	// Machine tells this machine from others.
	Machine func() machine.Facts
}

// Supervisor keeps the tokens of one configuration.
type Supervisor struct {
	opts    Options
	log     *slog.Logger
	started time.Time
	// systemClock: the wall clock is the machine's, whose kernel can be asked.
	systemClock bool

	events    *event.Bus
	facts     *event.Facts // of the store and its disk
	presence  *presence
	store     *store.Bolt
	ownership ownership
	listener  *control.Door
	keepers   map[string]*refresh.Keeper
	beats     map[string]*keepalive.Beats // by provider
	providers map[string]*process.Member
	workers   map[string]*sink.Worker
	// sinkPlugins are the sinks that run as processes of their own.
	sinkPlugins map[string]*plugin.Sink
	alerts      *alert.Engine
	turns       turns
	shared      *sharedfiles.Files
	elsewhere   *elsewhere
	// looking admits one look at the disk at a time.
	looking sync.Mutex
	// shut is why the control socket could not be opened again; looking
	// guards it.
	shut string
}

// New opens the store and the control socket and builds every room. Nothing
// runs and nothing is sent before [Supervisor.Run]. The caller closes a
// Supervisor that it does not run.
func New(ctx context.Context, opts Options) (*Supervisor, error) {
	systemClock := opts.Seams.Wall == nil
	if systemClock {
		opts.Seams.Wall = time.Now
	}
	if opts.Seams.Machine == nil {
		opts.Seams.Machine = machine.Read
	}
	s := &Supervisor{
		opts: opts, log: opts.Log, started: opts.Seams.Wall(), systemClock: systemClock,
		events:      event.NewBus(opts.Log, opts.Seams.Wall),
		keepers:     map[string]*refresh.Keeper{},
		beats:       map[string]*keepalive.Beats{},
		providers:   map[string]*process.Member{},
		workers:     map[string]*sink.Worker{},
		sinkPlugins: map[string]*plugin.Sink{},
		shared:      sharedfiles.New(opts.Config.StateDir, opts.Stored, opts.Log),
	}
	s.facts = s.events.NewFacts()
	s.elsewhere = newElsewhere(s)
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Supervisor) build(ctx context.Context) error {
	cfg := s.opts.Config
	var warning string
	var err error
	if s.presence, warning, err = appear(cfg.StateDir); err != nil {
		return err
	}
	if warning != "" {
		s.log.Warn(warning)
	}
	if s.store, err = s.openStore(); err != nil {
		return err
	}
	if err = s.recognise(ctx); err != nil {
		return err
	}
	if s.alerts, err = s.newAlerts(ctx); err != nil {
		return err
	}
	for name, c := range cfg.Sinks {
		w, err := s.newWorker(c)
		if err != nil {
			return fmt.Errorf("sink %s: %w", name, err)
		}
		s.workers[name] = w
	}
	s.events.Observe(s.tellSinks)
	s.events.Observe(s.elsewhere.observe)
	boot := machine.BootID()
	for _, name := range cfg.ProviderNames() {
		k, err := s.newKeeper(ctx, name, boot)
		if err != nil {
			return err
		}
		k.Hold(s.ownership.hold())
		s.keepers[name] = k
		s.beats[name] = s.newBeats(name, k)
		m, err := s.newMember(name, k)
		if err != nil {
			return err
		}
		s.providers[name] = m
	}
	if err := s.dropStrayLogins(ctx); err != nil {
		return err
	}
	s.carry(s.alerts.Carried())
	s.shared.InheritLocks()
	if s.listener, err = control.OpenDoor(cfg, s.opts.Seams.Listen, s.log); err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	return nil
}

// Events is the bus that everything is told on.
func (s *Supervisor) Events() *event.Bus { return s.events }

// Close releases what New has opened.
func (s *Supervisor) Close() error {
	var errs []error
	if s.listener != nil {
		errs = append(errs, ignoreClosed(s.listener.Close()))
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.presence != nil {
		errs = append(errs, s.presence.Close())
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Run keeps the tokens until ctx ends, and then closes the Supervisor. A
// refresh that was sent is waited for; what it brought is still delivered, as
// far as the sinks take it at once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.log.Info("tokenkeeper starts", "version", s.opts.Version, "pid", os.Getpid(),
		"accounts", len(s.opts.Config.Accounts), "sinks", len(s.opts.Config.Sinks), "state_dir", s.opts.Config.StateDir)
	var group run.Group

	// The caller's context: signals end it.
	{
		wait, cancel := context.WithCancel(ctx)
		group.Add(func() error {
			<-wait.Done()
			return nil
		}, func(error) { cancel() })
	}
	// The control API.
	{
		api, cancel := context.WithCancel(context.Background())
		group.Add(func() error {
			return control.NewServer(backend{s}, s.events, s.log).Serve(api, s.listener)
		}, func(error) { cancel() })
	}
	// The set of providers.
	refreshing, stopRefreshing := context.WithCancel(context.Background())
	refreshed := make(chan struct{})
	group.Add(func() error {
		defer close(refreshed)
		return runMembers(refreshing, s.providers, s.log)
	}, func(error) { stopRefreshing() })
	// The set of sinks, which outlives the providers: the last refresh's
	// token should still go out.
	delivered := make(chan struct{})
	{
		delivering, cancel := context.WithCancel(context.Background())
		group.Add(func() error {
			defer close(delivered)
			return runMembers(delivering, s.workers, s.log)
		}, func(error) {
			go func() {
				<-refreshed
				cancel()
			}()
		})
	}
	// The set of sinks' processes, which outlives the deliveries.
	{
		serving, cancel := context.WithCancel(context.Background())
		group.Add(func() error { return runMembers(serving, s.sinkPlugins, s.log) }, func(error) {
			go func() {
				<-delivered
				cancel()
			}()
		})
	}
	// What this machine has lost and sinks may give back.
	{
		lost := s.restoring()
		asking, cancel := context.WithCancel(context.Background())
		group.Add(func() error {
			return runMembers(asking, map[string]restorer{"restore": lost}, s.log)
		}, func(error) { cancel() })
	}
	// The alerts.
	{
		watching, cancel := context.WithCancel(context.Background())
		group.Add(func() error {
			return runMembers(watching, map[string]*alert.Engine{"alerts": s.alerts}, s.log)
		}, func(error) { cancel() })
	}
	// The set of shared files that are watched for what other programs write.
	{
		watching, cancel := context.WithCancel(context.Background())
		group.Add(func() error { return runMembers(watching, s.shared.Watches(), s.log) }, func(error) { cancel() })
	}
	// The service manager's watchdog, and the look at the clocks.
	{
		watching, cancel := context.WithCancel(context.Background())
		dog := watchdog.Watchdog{Watched: &watched{s: s}, MachineClock: s.systemClock, Log: s.log}
		group.Add(func() error { return dog.Run(watching) }, func(error) { cancel() })
	}

	err := group.Run()
	if err != nil {
		s.log.Error("tokenkeeper ends", "error", err)
	} else {
		s.log.Info("tokenkeeper ends")
	}
	return errors.Join(err, s.Close())
}
