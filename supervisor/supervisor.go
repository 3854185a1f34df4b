// Package supervisor wires the rooms together and runs them: a root run.Group
// with the caller's context, the control API, the service manager's watchdog, and
// the crew of all that keeps tokens.
package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/restore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/survey"
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
