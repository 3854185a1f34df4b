// Package process runs one plugin's process around the clock: generation
// after generation, with backoff between those that died, a watch over those
// that live, and a person's wish to restart in between.
//
// A [Member] owns the loop over generations. Each generation is a group of
// actors (oklog/run): the process exited, a restart was asked for, the process
// hangs, the [Work], the context. The first to return ends the generation; the
// calls in flight finish; only then is the process ended, or handed on to the
// next Member. Providers and sinks differ in their [Kind] alone.
// [Command] starts real processes over go-plugin; tests start others.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Launcher starts one generation of a plugin process.
type Launcher interface {
	// Launch returns when the process is up and its connection stands. It
	// returns a [*Fault] where only a person can help, and any other error
	// where trying again may. When ctx ends it ends the process and returns.
	Launch(ctx context.Context) (Instance, error)
}

// Instance is one running plugin process. Its methods are safe for
// concurrent use, and none but End ever blocks.
type Instance interface {
	// Conn leads to what the process serves.
	Conn() grpc.ClientConnInterface
	PID() int
	// Exited is closed when the process is gone, or its connection.
	Exited() <-chan struct{}
	// Err says how it went, once Exited is closed.
	Err() error
	// Stops receives true when the process is stopped (SIGSTOP) and false when
	// it runs again. Only the newest news is kept.
	Stops() <-chan bool
	// Continue lets a stopped process run again.
	Continue()
	// Kill ends the process and its children at once.
	Kill()
	// End asks the process to end and kills it when grace is over. It returns
	// when the process is gone, at the latest a few seconds after grace. It
	// frees what the instance holds and must be called in the end, also of a
	// process that is gone.
	End(grace time.Duration)
}

// Work is what a process is there for: the refresh loop of a provider
// ([Refreshing]), or the deliveries of a sink. It outlives the generations.
type Work interface {
	// Run works with the process at the other end of conn. It returns when ctx
	// has ended and what is in flight has finished, or with an error when the
	// connection is lost.
	Run(ctx context.Context, conn grpc.ClientConnInterface) error
	// InFlight is how many calls are in flight now that should finish.
	InFlight() int
	// Deadline is the latest one of the calls in flight, by the monotonic clock:
	// the wall clock may be set meanwhile. Zero for none. It may grow while one of
	// them is under way.
	Deadline() time.Time
	// Latest is the latest deadline of all calls so far: where a connection was lost, a
	// process may go on with one until then, whatever has become of its caller.
	Latest() time.Time
}

// Config of a [Member]. Name, Launcher, Work and Events must be set.
type Config struct {
	// Kind of plugin; the zero value is a provider.
	Kind Kind
	// Name of the provider or of the sink.
	Name string
	// Type is the name that Describe must return; "": the same as Name.
	Type     string
	Launcher Launcher
	Work     Work
	// Beside goes on in each generation beside the Work until ctx ends, and what
	// becomes of it ends nothing; nil: nothing does.
	Beside func(ctx context.Context, conn grpc.ClientConnInterface) error
	Events *event.Bus
	// Log receives what is no event; nil: nothing is logged.
	Log *slog.Logger
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Command is shown in the status.
	Command string
	Health  HealthPolicy
	Backoff BackoffPolicy
}

// Member keeps one plugin's process running. It is safe for concurrent use.
type Member struct {
	cfg      Config
	progress *progress
	restarts *restarts
	probe    chan struct{} // a probe was asked for
	ready    chan struct{}
	opened   func() // closes ready, once
	// keeps: its process stays at its end, for who comes after it.
	keeps      atomic.Bool
	succession *succession
}

// New returns a member that [Member.Run] starts.
func New(cfg Config) *Member {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Type = cmp.Or(cfg.Type, cfg.Name)
	cfg.Launcher = remembering(cfg.Launcher)
	cfg.Health = cfg.Health.withDefaults()
	cfg.Backoff = cfg.Backoff.withDefaults()
	ready := make(chan struct{})
	return &Member{
		cfg:      cfg,
		progress: newProgress(cfg),
		restarts: newRestarts(),
		probe:    make(chan struct{}, 1),
		ready:    ready,
		opened:   sync.OnceFunc(func() { close(ready) }),

		succession: &succession{},
	}
}

// Again returns a successor of this one, which has returned from [Member.Run]: for other
// work, and what goes on beside it.
func (m *Member) Again(work Work, beside func(context.Context, grpc.ClientConnInterface) error) *Member {
	c := m.cfg
	c.Work, c.Beside = work, beside
	next := New(c)
	next.Succeed(m)
	return next
}

// Run loops over generations. It returns when ctx has ended, the calls in
// flight have finished and the process is gone, or kept, and never earlier. It
// is called once.
func (m *Member) Run(ctx context.Context) error {
	defer m.ended()
	for ctx.Err() == nil {
		waiters := m.restarts.take()
		why := m.guarded(ctx, waiters)
		if ctx.Err() != nil && m.keeps.Load() {
			m.restarts.again(waiters) // a successor starts it
			continue
		}
		answer(waiters, fmt.Errorf("%s was not restarted: %w", m, why))

		var fault *Fault
		var timer = new(time.Timer) // one that never fires
		switch {
		case ctx.Err() != nil, errors.Is(why, errRestart):
			continue
		case errors.As(why, &fault):
			m.parked(fault)
		default:
			timer = time.NewTimer(m.crashed(why))
		}
		m.opened()
		if !m.restarts.pending() { // it may have been asked for while the generation ended
			select {
			case <-ctx.Done():
			case <-m.restarts.asked:
			case <-timer.C:
			}
		}
		if timer.C != nil {
			timer.Stop()
		}
	}
	return ctx.Err()
}

// guarded is one generation whose panics are errors.
func (m *Member) guarded(ctx context.Context, waiters []*waiter) (why error) {
	defer m.recovered("generation", &why)
	return m.generation(ctx, waiters)
}

// recovered turns a panic of what was deferred into *err. The value of the
// panic is told only by its type, because it may hold a token.
func (m *Member) recovered(what string, err *error) {
	if v := recover(); v != nil {
		text := fmt.Sprintf("%T", v)
		if e, ok := v.(interface{ RuntimeError() }); ok {
			text = fmt.Sprint(e)
		}
		m.cfg.Log.Error("recovered a panic", m.cfg.Kind.String(), m.cfg.Name, "actor", what, "panic", text, "stack", string(debug.Stack()))
		*err = fmt.Errorf("the supervisor's %s panicked (%s): this is a defect of Tokenkeeper, please report the log", what, text)
	}
}

// Ready is closed when the first generation serves, or could not be started.
func (m *Member) Ready() <-chan struct{} { return m.ready }

// Status returns what the member does now.
func (m *Member) Status() Status {
	inFlight := m.cfg.Work.InFlight()
	s := m.progress.now()
	s.InFlight = inFlight
	return s
}

// Restart replaces the process and returns when the new one serves. Calls
// in flight finish first. It skips the backoff and takes a parked plugin up
// again. When ctx ends, the restart goes on all the same. One that runs is not
// ended for a program that could not be started.
func (m *Member) Restart(ctx context.Context) (Restarted, error) {
	c, isProgram := m.cfg.Launcher.(Command)
	if pid := m.progress.now().PID; isProgram && pid != 0 {
		if err := c.startable(ctx, m.cfg.Type, func() bool { return m.OldProgram() != "" }); err != nil {
			return Restarted{}, fmt.Errorf("%s was not restarted, and goes on as PID %d: %w", m, pid, err)
		}
	}
	w := m.restarts.ask(m.progress.restart)
	if w == nil {
		return Restarted{}, m.errStopped()
	}
	select {
	case <-w.done:
		return w.result, w.err
	case <-ctx.Done():
		return Restarted{}, fmt.Errorf("%s: the restart goes on, but the new process does not serve yet; "+
			"see: tokenkeeper status: %w", m, ctx.Err())
	}
}

func (m *Member) errStopped() error {
	return fmt.Errorf("%s was not restarted: the supervisor is stopping", m)
}

// Probe asks for a sign of life now instead of at the next interval: for a
// call that ran into its deadline. It does not wait.
func (m *Member) Probe() { signal(m.probe) }

// ended leaves a successor what it goes on with, or nobody anything.
func (m *Member) ended() {
	m.progress.stopped()
	if !m.keeps.Load() {
		m.Drop()
	}
	m.opened()
}

// crashed notes the end of a generation that nobody asked for and returns how
// long to wait for the next one.
func (m *Member) crashed(why error) time.Duration {
	delay, next := m.progress.crashed(why)
	m.cfg.Events.Nudge()
	m.publish(slog.LevelWarn, event.Event{
		Type: events[m.cfg.Kind].stopped, Next: next,
		Message: fmt.Sprintf("%s is started again in %s: %v", m, delay.Round(time.Millisecond), why),
	})
	return delay
}

// parked notes that the plugin waits for a person.
func (m *Member) parked(fault *Fault) {
	text := fmt.Sprintf("%s is parked: %s; then run: %s", m, fault, m.cfg.Kind.restart(m.cfg.Name))
	m.progress.parked(fault)
	m.cfg.Events.Nudge()
	m.publish(slog.LevelError, event.Event{Type: events[m.cfg.Kind].parked, Message: text})
}

// noteHealthy notes that a generation has lived long enough to count as healthy.
func (m *Member) noteHealthy() {
	if m.progress.healthy() {
		m.cfg.Events.Nudge()
	}
}

// String is how texts call it.
func (m *Member) String() string { return fmt.Sprintf("%s %s", m.cfg.Kind, m.cfg.Name) }

func (m *Member) publish(level slog.Level, e event.Event) {
	if m.cfg.Kind == Sink {
		e.Sink = m.cfg.Name
	} else {
		e.Provider = m.cfg.Name
	}
	m.cfg.Events.Publish(level, e)
}

// HealthPolicy is how a process is watched. Zero fields take the defaults.
type HealthPolicy struct {
	// Interval between two probes. Exits and stops are learned from the
	// kernel without any, so it may be long: one probe wakes threads about 20
	// times, both processes together. Default: 15 min.
	Interval time.Duration
	// Timeout of a probe; default: 5 s.
	Timeout time.Duration
	// StopPatience is how long a process with nothing in flight may stay
	// stopped; default: 2 s.
	StopPatience time.Duration
	// DescribeTimeout bounds the first call; default: 10 s.
	DescribeTimeout time.Duration
	// AttemptTimeout stands in for the deadline of an attempt that names
	// none; default: 30 s.
	AttemptTimeout time.Duration
	// EndGrace is how long a process with nothing in flight may take to end;
	// default: 5 s.
	EndGrace time.Duration
	// DrainGrace is the most for one whose connection was lost: it may still
	// hear an attempt out, until that one's deadline. Default: 35 s.
	DrainGrace time.Duration
	// Settle is the uptime from which a generation counts as healthy;
	// default: 1 min.
	Settle time.Duration
}

func (p HealthPolicy) withDefaults() HealthPolicy {
	return HealthPolicy{
		Interval:        cmp.Or(p.Interval, 15*time.Minute),
		Timeout:         cmp.Or(p.Timeout, 5*time.Second),
		StopPatience:    cmp.Or(p.StopPatience, 2*time.Second),
		DescribeTimeout: cmp.Or(p.DescribeTimeout, 10*time.Second),
		AttemptTimeout:  cmp.Or(p.AttemptTimeout, 30*time.Second),
		EndGrace:        cmp.Or(p.EndGrace, 5*time.Second),
		DrainGrace:      cmp.Or(p.DrainGrace, 35*time.Second),
		Settle:          cmp.Or(p.Settle, time.Minute),
	}
}
