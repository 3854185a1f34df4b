// Package supervisor wires the rooms together and runs them: a root run.Group
// with the caller's context, the control API, the service manager's watchdog, and
// the crew of all that keeps tokens.
package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/orphans"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/restore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/survey"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/watchdog"
	"github.com/tokenkeeper/tokenkeeper/supervisor/metrics"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
)

// Options is what a Supervisor is made of. `run`, the demo and every test use
// the same constructor; only the fields of Seams may differ between them.
type Options struct {
	Config *config.Config
	// Reread reads again what Config was read from, as it was read; nil: it came from no
	// file. Both were loaded with [config.Source.Comparable] then.
	Reread func() (*config.Config, error)
	// Referred are the files that it refers to by now, there or not; nil: nobody knows.
	Referred func() []string
	// Check finds what would keep a start with a configuration from succeeding: programs
	// that are not what they should be. nil: nobody looks.
	Check   func(ctx context.Context, cfg *config.Config) error
	Version string
	Log     *slog.Logger
	// Builtin returns the command of a provider that is part of the program.
	Builtin func(provider string) (command []string, ok bool)
	// Stored is where the service manager keeps descriptors over a restart; nil:
	// there is none.
	Stored *fdstore.Store
	// Looked is called after each look at everything, which comes twice a minute for
	// as long as nothing happens; nil: nobody is told.
	Looked func()
	// Observe: everything is read and shown, nothing is sent, delivered or written. The
	// store is read once, at the start.
	Observe bool
	Seams   Seams
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
	opts Options
	log  *slog.Logger
	// machineClock: the wall clock is the machine's, whose kernel can be asked.
	machineClock bool
	started      time.Time
	boot         string // this run of the machine's kernel
	program      *programs.Own
	observed     *observation // nil: it keeps tokens

	file      *configfile.File
	events    *event.Bus
	history   *history.Writer
	dir       *statedir.Dir
	ownership *ownership.Ownership
	roster    *roster.Roster
	shared    *accountfiles.Files
	inquirer  *restore.Inquirer
	survey    *survey.Survey
	alerts    *alert.Engine
	metrics   *metrics.Listener // nil: nobody asks for them over TCP
	crew      *crew
	reloading chan struct{} // has room for who reads the configuration again
	broken    chan error    // has room for why nobody can say who keeps the tokens
	// backend is one for all who ask: what hangs in it is waited for once.
	backend func() control.Backend
	door    *control.Door
}

// New opens the store, the control socket and what else listens, and builds every room. Nothing
// runs and nothing is sent before [Supervisor.Run]. The caller closes a
// Supervisor that it does not run.
func New(ctx context.Context, opts Options) (*Supervisor, error) {
	machineClock := opts.Seams.Wall == nil
	if machineClock {
		opts.Seams.Wall = time.Now
	}
	if opts.Seams.Machine == nil {
		opts.Seams.Machine = machine.Read
	}
	var observed *observation
	if opts.Observe {
		var err error
		if observed, err = observe(opts.Config); err != nil {
			return nil, err
		}
		opts = observed.options(opts)
	}
	s := &Supervisor{
		observed: observed,
		opts:     opts, log: opts.Log, machineClock: machineClock, started: opts.Seams.Wall(), boot: machine.BootID(), program: programs.OwnProgram(),
		events: event.NewBus(opts.Log, opts.Seams.Wall),
		roster: roster.New(opts.Config),
		shared: accountfiles.New(opts.Config.StateDir, opts.Stored, opts.Log),
	}
	s.history = history.New(history.Config{Dir: opts.Config.StateDir, Wall: opts.Seams.Wall, Log: opts.Log})
	s.history.Began(opts.Version)
	s.events.ObserveAudited(s.history.Note)
	s.file = configfile.New(configfile.Config{Running: opts.Config, Read: opts.Reread, Check: opts.Check, Started: s.started, Wall: opts.Seams.Wall})
	s.backend = sync.OnceValue(s.newBackend)
	s.inquirer = restore.NewInquirer(s.roster, func(ctx context.Context, account string) (time.Time, error) {
		return s.dir.Store().Passed(ctx, account) // nobody is asked before it is open
	}, s.log, opts.Seams.Wall)
	s.crew, s.reloading, s.broken = newCrew(opts.Log), make(chan struct{}, 1), make(chan error, 1)
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Events is the bus that everything is told on.
func (s *Supervisor) Events() *event.Bus { return s.events }

// Close releases what New has opened.
func (s *Supervisor) Close() error {
	var errs []error
	if s.door != nil {
		errs = append(errs, ignoreClosed(s.door.Close()))
	}
	if s.metrics != nil {
		errs = append(errs, s.metrics.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	if s.observed != nil {
		errs = append(errs, s.observed.own.remove())
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
		"accounts", len(s.opts.Config.Accounts), "sinks", len(s.opts.Config.Sinks), "state_dir", s.stateDir())
	if s.observed != nil {
		s.log.Warn("tokenkeeper only observes: no token is refreshed or delivered, and nothing is written; it has read the store once, at this start", "state_dir", s.stateDir())
	}
	var group run.Group

	// The caller's context, which signals end, or what nobody can go on after.
	{
		wait, cancel := context.WithCancel(ctx)
		group.Add(func() error {
			select {
			case <-wait.Done():
				return nil
			case err := <-s.broken:
				return err
			}
		}, func(error) { cancel() })
	}
	// The control API.
	{
		api, cancel := context.WithCancel(context.Background())
		server := control.NewServer(s.backend(), s.events, s.log, s.opts.Config.Control.Readers...)
		if s.observed != nil {
			server.OnlyObserves()
		}
		group.Add(func() error { return server.Serve(api, s.door) }, func(error) { cancel() })
	}
	// The service manager's watchdog, and the look at the clocks.
	{
		watching, cancel := context.WithCancel(context.Background())
		dog := watchdog.Watchdog{Watched: &watched{s: s, orphans: orphans.New()}, MachineClock: s.machineClock, Log: s.log}
		group.Add(func() error { return dog.Run(watching) }, func(error) { cancel() })
	}
	// Everything that keeps tokens, which never ends first.
	{
		keeping, cancel := context.WithCancel(context.Background())
		group.Add(func() error { return s.crew.run(keeping) }, func(error) { cancel() })
	}

	err := group.Run()
	if err != nil {
		s.log.Error("tokenkeeper ends", "error", err)
	} else {
		s.log.Info("tokenkeeper ends")
	}
	return errors.Join(err, s.Close())
}
