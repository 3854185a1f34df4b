// Package plugin delivers tokens through a sink that is a program of its own:
// one process for each configured sink, run and watched as a provider's is.
package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// DefaultTimeout of one try.
const DefaultTimeout = 30 * time.Second

// Config of a [Sink]. Name, Type, Events and one of Command and Launcher must
// be set.
type Config struct {
	// Name of the sink, and the type that its program must say it is for.
	Name, Type string
	// Command starts the program; its Kind, Name and Log are filled in.
	Command *process.Command
	// Launcher stands in for Command, for tests and simulations.
	Launcher process.Launcher
	// Settings go to the program with each request.
	Settings sdk.Settings
	// Encode makes the content of a delivery; nil: our own JSON.
	Encode func(format.Document) ([]byte, error)
	// Decode reads what the destination gives back; nil: it is not read.
	Decode func([]byte) (format.Document, error)
	// Timeout of one try; 0: [DefaultTimeout].
	Timeout time.Duration
	Events  *event.Bus
	// Log receives what the program writes; nil: nothing does.
	Log *slog.Logger
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Health and Backoff of the process; their zero values are the defaults.
	Health  process.HealthPolicy
	Backoff process.BackoffPolicy
}

// Sink is a sink whose code runs in a process of its own. Deliveries need
// [Sink.Run]: while no process serves they fail with [sink.ErrAbsent], and
// [Sink.Await] tells when one does.
type Sink struct {
	cfg    Config
	gate   *gate
	member *process.Member
	held   sync.Map // account -> uint64, see Hold
}

var (
	_ sink.Sink     = (*Sink)(nil)
	_ sink.Waiter   = (*Sink)(nil)
	_ sink.Notifier = (*Sink)(nil)
	_ sink.Tester   = (*Sink)(nil)
	_ sink.Holder   = (*Sink)(nil)
	_ sink.Watcher  = (*Sink)(nil)

	_ sink.Addressed = (*Sink)(nil)
)

// New returns a sink whose process [Sink.Run] starts.
func New(cfg Config) (*Sink, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Encode == nil {
		cfg.Encode = func(d format.Document) ([]byte, error) {
			return format.Encode(format.JSON, d, format.Options{})
		}
	}
	s := &Sink{cfg: cfg, gate: newGate()}
	c := process.Config{
		Kind: process.Sink, Name: cfg.Name, Type: cfg.Type, Launcher: cfg.Launcher, Work: s.gate,
		Events: cfg.Events, Log: cfg.Log, Now: cfg.Now, Health: cfg.Health, Backoff: cfg.Backoff,
	}
	switch {
	case cfg.Launcher != nil:
	case cfg.Command == nil:
		return nil, errors.New("a sink that is a plugin needs a command")
	default:
		command := *cfg.Command
		command.Kind, command.Name, command.Log = process.Sink, cfg.Name, cfg.Log
		c.Launcher = command
		c.Command = strings.Join(append([]string{command.Path}, command.Args...), " ")
	}
	s.member = process.New(c)
	return s, nil
}

// Run keeps the process running. It returns when ctx has ended, the deliveries
// in flight have finished and the process is gone. It is called once.
func (s *Sink) Run(ctx context.Context) error { return s.member.Run(ctx) }

// Keep, Succeed and Drop are those of [process.Member], for another sink of the same program.
func (s *Sink) Keep() { s.member.Keep() }

// Succeed has s go on where was has ended.
func (s *Sink) Succeed(was *Sink) { s.member.Succeed(was.member) }

// Drop ends a process that was kept, and with which nobody goes on.
func (s *Sink) Drop() { s.member.Drop() }

// Restart replaces the process and returns when the new one serves. Deliveries
// in flight finish first.
func (s *Sink) Restart(ctx context.Context) (process.Restarted, error) { return s.member.Restart(ctx) }

// Status of the process.
func (s *Sink) Status() process.Status { return s.member.Status() }

// OldProgram is [process.Member.OldProgram], and Look [process.Member.Look].
func (s *Sink) OldProgram() string { return s.member.OldProgram() }

// Look tells in the log that the program was replaced.
func (s *Sink) Look() { s.member.Look() }

// Address implements [sink.Addressed] with all of the settings and arguments that sound
// like no secret: which of them say where it is only the program knows. One that can be
// asked what it holds is asked besides.
func (s *Sink) Address() string {
	words := []string{s.cfg.Type}
	if s.cfg.Command != nil {
		words = append(words, sink.CommandAddress(s.cfg.Command.Args)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Settings)) {
		if !config.SoundsSecret(name) {
			words = append(words, name, sink.URLAddress(s.cfg.Settings.Get(name)))
		}
	}
	return sink.AddressOf("plugin", words...)
}

// Deliver implements [sink.Sink].
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	if v, held := s.held.Load(d.Document.Account); held && d.Version <= v.(uint64) {
		return fmt.Errorf("%w: the destination may hold a better token than this one, and is asked for it first", sink.ErrRefused)
	}
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	return s.call(ctx, func(ctx context.Context, remote *sdk.RemoteSink) error {
		return remote.Deliver(ctx, s.delivery(d, content))
	})
}

// Notify implements [sink.Notifier].
func (s *Sink) Notify(ctx context.Context, n sink.Notice) error {
	req, err := s.notice(n)
	if err != nil {
		return err
	}
	err = s.call(ctx, func(ctx context.Context, remote *sdk.RemoteSink) error { return remote.Notify(ctx, req) })
	if errors.Is(err, sdk.ErrUnimplemented) {
		return fmt.Errorf("%w: a sink of type %q takes tokens only", sink.ErrRefused, s.cfg.Type)
	}
	return err
}

// Test implements [sink.Tester]. No token goes to the plugin for it.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	err = s.call(ctx, func(ctx context.Context, remote *sdk.RemoteSink) error {
		return remote.Test(ctx, sdk.TestRequest{
			Sink: s.cfg.Name, Settings: s.cfg.Settings, Account: d.Document.Account, Provider: d.Document.Provider,
		})
	})
	switch {
	case errors.Is(err, sdk.ErrUnimplemented):
		return "", fmt.Errorf("a sink of type %q can't be tested without a delivery; deliver the newest tokens once more with: tokenkeeper sinks redeliver %s", s.cfg.Type, s.cfg.Name)
	case err != nil:
		return "", err
	}
	return "the plugin tried its destination, without a token", nil
}

// Restore returns the newest document of the account that the destination
// holds: [sdk.ErrNothingStored] if it holds none, [sdk.ErrUnimplemented] if the
// plugin can't give anything back, and [sink.ErrAbsent] while no process
// serves.
func (s *Sink) Restore(ctx context.Context, account, provider string) (restored sdk.Restored, err error) {
	err = s.call(ctx, func(ctx context.Context, remote *sdk.RemoteSink) (err error) {
		restored, err = remote.Restore(ctx, sdk.RestoreRequest{
			Sink: s.cfg.Name, Settings: s.cfg.Settings, Account: account, Provider: provider,
		})
		return err
	})
	return restored, err
}

// Holds implements [sink.Holder]: with the version that the plugin tells, if that
// will do, and else with what it gives back.
func (s *Sink) Holds(ctx context.Context, q readback.Question) (readback.Held, error) {
	if q.Lightly {
		return s.version(ctx, q)
	}
	if s.cfg.Decode == nil {
		return readback.Held{}, sdk.ErrUnimplemented
	}
	got, err := s.Restore(ctx, q.Account, q.Provider)
	if err != nil {
		return readback.Held{}, err
	}
	held := readback.Held{At: got.StoredAt}
	if held.Document, err = s.cfg.Decode([]byte(got.Content.Reveal())); err != nil {
		return held, fmt.Errorf("%w: %w", format.ErrUnreadable, err)
	}
	return held, nil
}

// version asks a plugin that has said that it can tell.
func (s *Sink) version(ctx context.Context, q readback.Question) (readback.Held, error) {
	if !s.member.Status().Sink.Holder {
		return readback.Held{}, sdk.ErrUnimplemented
	}
	var holding sdk.Holding
	err := s.call(ctx, func(ctx context.Context, remote *sdk.RemoteSink) (err error) {
		holding, err = remote.Holds(ctx, sdk.HoldsRequest{
			Sink: s.cfg.Name, Settings: s.cfg.Settings, Account: q.Account, Provider: q.Provider,
			Version: q.Wrote.Version, DeliveredAt: q.Wrote.At,
		})
		return err
	})
	if err != nil {
		return readback.Held{}, err
	}
	return readback.Held{Told: true, Version: holding.Version}, nil
}

// Watch implements [sink.Watcher]: there is news when a process serves for the first
// time, as nobody could be asked before.
func (s *Sink) Watch(ctx context.Context, news func(account string)) error {
	go func() {
		if s.AwaitServing(ctx) == nil {
			news("")
		}
	}()
	return nil
}

// IsHeld says whether a Hold of the account lasts.
func (s *Sink) IsHeld(account string) bool {
	_, held := s.held.Load(account)
	return held
}

// Hold refuses deliveries of the account up to that version, until Release: a
// dead token must not take the place of a good one that the destination may
// give back.
func (s *Sink) Hold(account string, version uint64) { s.held.Store(account, version) }

// Release ends a Hold.
func (s *Sink) Release(account string) { s.held.Delete(account) }

// Await implements [sink.Waiter]: it returns when a process serves again. Of a
// consumer that the plugin calls absent it can't tell when it comes.
func (s *Sink) Await(ctx context.Context) error {
	if !s.gate.takeMissed() {
		return errors.New("only the plugin knows when its consumer comes")
	}
	_, err := s.gate.await(ctx)
	return err
}

// AwaitServing returns when a process serves, or with ctx's error.
func (s *Sink) AwaitServing(ctx context.Context) error {
	_, err := s.gate.await(ctx)
	return err
}

// comingUp is how long a call waits for a process that is being started, so
// that a start or a restart looks like a slow delivery and not like a failed
// one.
const comingUp = 3 * time.Second

// call makes one call of the plugin, bounded by the timeout.
func (s *Sink) call(ctx context.Context, f func(context.Context, *sdk.RemoteSink) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	for waited := false; ; waited = true {
		remote, done := s.gate.enter(ctx)
		if remote != nil {
			defer done()
			err := f(ctx, remote)
			if errors.Is(err, sdk.ErrConnection) {
				s.gate.lost(remote)
			}
			return s.outcome(err)
		}
		st := s.member.Status()
		if waited || !soonServing(st.State) {
			return fmt.Errorf("%w: %s", sink.ErrAbsent, notServing(s.member, st))
		}
		soon, cancel := context.WithTimeout(ctx, comingUp)
		_, _ = s.gate.await(soon)
		cancel()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", notServing(s.member, st), err)
		}
	}
}

// soonServing: the process comes up, or is being replaced.
func soonServing(st process.State) bool {
	return st == process.Starting || st == process.Running || st == process.Stopping
}

// notServing says why there is no process to call.
func notServing(m *process.Member, st process.Status) string {
	text := fmt.Sprintf("the process of %s does not serve (%s)", m, st.State)
	if st.LastError != "" {
		text += "; the last time: " + st.LastError
	}
	return text
}

// outcome words a failed call for the worker.
func (s *Sink) outcome(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		s.member.Probe() // it may hang
	}
	if errors.Is(err, sdk.ErrConnection) {
		return fmt.Errorf("the process of %s ended before it answered: %w", s.member, err)
	}
	var e *sdk.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return &sink.RetryAfterError{After: e.RetryAfter, Err: err}
	}
	return err
}
