package process

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// This file lets a process outlive the member that has started it: where another one goes
// on in its place, with other work for the same program.

// running is a process that serves, in its generation.
type running struct {
	in         Instance
	generation int
	began      time.Time
}

// succession is what members who come one after the other hand on: the process that was
// kept, if one was. It is safe for concurrent use.
type succession struct {
	mu   sync.Mutex
	kept *running // nil: none is
}

func (s *succession) keep(r running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = &r
}

// take returns what was kept, to one alone.
func (s *succession) take() (r running, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return running{}, false
	}
	r, s.kept = *s.kept, nil
	return r, true
}

// inherit is the process that was kept for m, if it goes on: whoever waits for a restart
// gets another one, and of one that has died meanwhile it is said in err.
func inherit(m *Member, another bool) (r running, goesOn bool, err error) {
	r, kept := m.succession.take()
	switch {
	case !kept:
		return r, false, nil
	case await(r.in.Exited(), 0):
		err = fmt.Errorf("%w: %w", errExited, r.in.Err())
		r.in.End(0)
		m.progress.gone()
		if another {
			return r, false, nil
		}
		return r, false, err
	case another:
		end(m, r, m.cfg.Health.EndGrace, true)
		return r, false, nil
	}
	m.progress.goesOn()
	m.Probe() // what its last member was about to find out of it is lost
	return r, true, nil
}

// end ends a process; wanted: somebody wants that, who is told.
func end(m *Member, r running, grace time.Duration, wanted bool) {
	m.progress.stopping()
	r.in.End(grace)
	m.progress.gone()
	if wanted {
		m.publish(slog.LevelInfo, event.Event{
			Type: events[m.cfg.Kind].stopped,
			Message: fmt.Sprintf("%s has ended: generation %d, after %s",
				m, r.generation, time.Since(r.began).Round(time.Second)),
		})
	}
}

// Keep has the process stay when m ends, for its successor (see [Member.Succeed]): if it
// serves then, and all that was in flight has finished. Whoever waits for a restart waits
// for that of the successor. Without one that runs, somebody has to [Member.Drop] both.
func (m *Member) Keep() { m.keeps.Store(true) }

// Succeed has m, which does not run yet, go on where was has ended, which runs the same
// program: with the process that it has kept, if it has, and with how it has fared. Of
// several successors the first that runs has the process.
func (m *Member) Succeed(was *Member) {
	m.progress, m.succession = was.progress, was.succession
	if was.keeps.Load() {
		m.restarts = was.restarts
		m.progress.handedOn()
	}
	// The process still knows what it was told before.
	had, told := was.cfg.Launcher.(Command)
	if is, ok := m.cfg.Launcher.(Command); ok && told {
		had.Secrets.DeclareAs(is.Secrets)
		is.Secrets = had.Secrets
		m.cfg.Launcher = is
	}
}

// Drop ends a process that was kept and that no successor has, and the waiting for another.
func (m *Member) Drop() {
	if r, ok := m.succession.take(); ok {
		end(m, r, m.cfg.Health.EndGrace, true)
		m.progress.stopped()
	}
	answer(m.restarts.end(), m.errStopped())
}
