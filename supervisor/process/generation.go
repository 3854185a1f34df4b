package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oklog/run"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// generation is one run of the process, from its start to its exit, or what a member has
// of one that goes on with its successor. It returns why it ended, never nil.
func (m *Member) generation(ctx context.Context, waiters []*waiter) error {
	r, goesOn, err := inherit(m, len(waiters) > 0)
	if err != nil {
		return err
	}
	if !goesOn {
		if r, err = m.begin(ctx, waiters); err != nil {
			return err
		}
	}
	m.opened()

	o := m.serve(ctx, r)
	if o.finished && o.well && m.keeps.Load() && errors.Is(o.why, ctx.Err()) && !await(r.in.Exited(), 0) {
		m.succession.keep(r)
		return o.why
	}
	grace := m.cfg.Health.EndGrace
	if !o.finished {
		// The process may still hear out an attempt whose caller is gone.
		grace = min(grace+max(0, time.Until(m.cfg.Work.Latest())), m.cfg.Health.DrainGrace)
	}
	end(m, r, grace, errors.Is(o.why, errRestart) || ctx.Err() != nil)
	return o.why
}

// begin starts a process, which serves then.
func (m *Member) begin(ctx context.Context, waiters []*waiter) (running, error) {
	number := m.progress.starting()
	in, id, err := m.start(ctx)
	if err != nil {
		return running{}, err
	}
	began := time.Now()
	var from *started
	if p, ok := in.(*instance); ok { // and not one in memory
		from = p.from
	}
	m.progress.serving(in.PID(), id, from)
	m.publish(slog.LevelInfo, event.Event{
		Type:    events[m.cfg.Kind].started,
		Message: fmt.Sprintf("%s %s serves: generation %d, PID %d", m, id.version, number, in.PID()),
	})
	if m.progress.wasParked() {
		m.noteHealthy()
	}
	for _, w := range waiters {
		w.result = Restarted{OldPID: w.oldPID, PID: in.PID(), Generation: number}
	}
	answer(waiters, nil)
	return running{in, number, began}, nil
}

// start launches the process and asks it who it is.
func (m *Member) start(ctx context.Context) (Instance, identity, error) {
	in, err := m.cfg.Launcher.Launch(ctx)
	if err != nil {
		return nil, identity{}, err
	}
	id, err := m.cfg.Kind.meet(ctx, in, m.cfg.Type, m.cfg.Health.DescribeTimeout)
	if err != nil {
		in.Kill() // nothing has been asked of it that could be lost
		in.End(0)
		return nil, identity{}, err
	}
	return in, id, nil
}

// outcome is how a generation ended: why, never nil; whether nothing that the work began is
// open; and whether the process was not suspected of hanging.
type outcome struct {
	why      error
	finished bool
	well     bool
}

// serve runs the actors of a generation. When it returns, the work has
// returned. The process may still run.
func (m *Member) serve(ctx context.Context, r running) (o outcome) {
	in := r.in
	var g run.Group
	add := func(name string, execute func() error, interrupt func()) {
		g.Add(func() (err error) {
			defer m.recovered(name, &err)
			return execute()
		}, func(error) { interrupt() })
	}
	worked := make(chan struct{}) // closed when the work has returned

	{ // The process exited, or its connection was lost.
		ctx, cancel := context.WithCancel(context.Background())
		add("exit watch", func() error {
			select {
			case <-in.Exited():
				return fmt.Errorf("%w: %w", errExited, in.Err())
			case <-ctx.Done():
				return nil
			}
		}, cancel)
	}
	{ // A person asked for a restart.
		ctx, cancel := context.WithCancel(context.Background())
		add("restart watch", func() error {
			select {
			case <-m.restarts.asked:
				return errRestart
			case <-ctx.Done():
				return nil
			}
		}, cancel)
	}
	{ // The process hangs. This actor stays until the work has returned,
		// because a process may hang while it finishes, too.
		h := newHealth(m, r)
		add("health watch", func() error { return h.run(worked) }, h.interrupt)
		defer func() { o.well = !h.suspects() }()
	}
	{ // The refresh loop over the heap of due accounts, or the deliveries.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		add(m.cfg.Kind.work(), func() error {
			defer close(worked)
			if err := m.cfg.Work.Run(ctx, in.Conn()); err != nil {
				return fmt.Errorf("the %s ended: %w", m.cfg.Kind.work(), err)
			}
			o.finished = true
			return fmt.Errorf("the %s ended by itself", m.cfg.Kind.work())
		}, cancel)
	}
	if m.cfg.Beside != nil { // The beats of sessions.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		add("beside", func() error {
			m.beside(ctx, in)
			<-ctx.Done()
			return nil
		}, cancel)
	}
	{ // The supervisor is stopping.
		ctx, cancel := context.WithCancel(ctx)
		add("context", func() error {
			<-ctx.Done()
			return ctx.Err()
		}, cancel)
	}
	o.why = g.Run()
	if errors.Is(o.why, sdk.ErrConnection) && !errors.Is(o.why, errExited) && await(in.Exited(), exitNews) {
		o.why = fmt.Errorf("%w: %w", errExited, in.Err())
	}
	return o
}

// beside does what goes on beside the work, and keeps its failure to itself.
func (m *Member) beside(ctx context.Context, in Instance) {
	err := func() (err error) {
		defer m.recovered("beside", &err)
		return m.cfg.Beside(ctx, in.Conn())
	}()
	if err != nil && ctx.Err() == nil {
		m.cfg.Log.Warn("what goes on beside the "+m.cfg.Kind.work()+" has ended until the next start of the process", m.cfg.Kind.String(), m.cfg.Name, "error", err)
	}
}

// exitNews is how long the kernel's news of an exit may come after the end of
// the connection, which a call notices first.
const exitNews = 500 * time.Millisecond

// errExited ends a generation whose process, or its connection, is gone.
var errExited = errors.New("the process is gone")
