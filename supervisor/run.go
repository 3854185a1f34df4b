package supervisor

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/orphans"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/restore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/watchdog"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
)

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
	s.history = history.New(history.Config{Dir: opts.Config.StateDir, Accounts: len(opts.Config.Accounts), Wall: opts.Seams.Wall, Log: opts.Log})
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
			defer s.dir.Stops()
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
	// A reload that is under way has processes in its hands.
	select {
	case s.reloading <- struct{}{}:
	case <-time.After(trying):
	}
	if err != nil {
		s.log.Error("tokenkeeper ends", "error", err)
	} else {
		s.log.Info("tokenkeeper ends")
	}
	return errors.Join(err, s.Close())
}
