package process

import (
	"sync"
	"time"
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

// next is the process that was kept, if it still serves and nobody waits for another.
func (s *succession) next(another bool, grace time.Duration) (r running, ok bool) {
	r, ok = s.take()
	if ok && (another || await(r.in.Exited(), 0)) {
		r.in.End(grace)
		return running{}, false
	}
	return r, ok
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
		m.progress.stopping()
		r.in.End(m.cfg.Health.EndGrace)
		m.progress.gone()
		m.progress.stopped()
	}
	answer(m.restarts.end(), m.errStopped())
}
