package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// errHung ends a generation whose process no longer does anything.
var errHung = errors.New("the process hung and was killed")

const (
	// nudgeInterval is how often a hanging process with something in flight
	// is told to continue.
	nudgeInterval = time.Second
	// lateAnswer is added to an attempt's deadline, so that the plugin's own
	// answer about it still arrives.
	lateAnswer = time.Second
	// longestHearing bounds how long a process is heard out: what is in flight
	// then may take a while until it calls, and minutes from then on.
	longestHearing = 10 * time.Minute
)

// health is the actor that finds out that a process hangs, from the kernel's
// word that it was stopped and from rare probes. It kills the process when it
// returns an error.
//
// A process with nothing in flight loses little: it is killed soon. One with
// something in flight may hold an answer that exists nowhere else: it is told
// to continue, and killed only when the attempts' deadline is over.
type health struct {
	member *Member
	in     Instance
	began  time.Time // the process
	policy HealthPolicy

	ending context.Context
	// interrupt tells that the generation ends: from now on only what is in
	// flight counts.
	interrupt context.CancelFunc

	// suspect is why the process seems to hang; "": it does not.
	suspect string
	// heard is since when the verdict waits for the attempts' deadline, which was
	// awaited then; zero: it does not.
	heard, awaited time.Time
	verdict        *time.Timer
	nudge          *time.Ticker
	probed         chan error // the probe under way; nil: none is
}

func newHealth(m *Member, r running) *health {
	h := &health{member: m, in: r.in, began: r.began, policy: m.cfg.Health}
	h.ending, h.interrupt = context.WithCancel(context.Background())
	return h
}

const (
	isStopped    = "it was stopped (SIGSTOP) and not continued"
	isSilent     = "it did not answer a probe"
	isUnfinished = "what was in flight did not finish by its deadline"
)

// run returns errHung, or nil when the generation ends otherwise and the
// work has returned.
func (h *health) run(worked <-chan struct{}) error {
	h.verdict, h.nudge = time.NewTimer(time.Hour), time.NewTicker(time.Hour)
	h.clear()
	interval := time.NewTicker(h.policy.Interval)
	settle := time.NewTimer(h.policy.Settle - time.Since(h.began))
	defer func() {
		h.verdict.Stop()
		h.nudge.Stop()
		settle.Stop()
		interval.Stop()
	}()
	probes, ending := context.WithCancel(context.Background())
	defer ending()

	var done <-chan struct{} // nil, and so never ready, before the interrupt
	interrupted := h.ending.Done()
	for {
		select {
		case <-interrupted:
			interrupted, done = nil, worked
			if h.suspect == "" {
				h.suspect = isUnfinished
				h.await()
			}
		case <-done:
			return nil
		case stopped := <-h.in.Stops():
			h.heardOfStop(stopped)
		case <-interval.C:
			h.startProbe(probes)
		case <-h.member.probe:
			h.startProbe(probes)
		case err := <-h.probed:
			h.endProbe(err)
		case <-h.nudge.C:
			h.hearOut()
			if h.suspect == isSilent {
				h.startProbe(probes)
			}
		case <-h.verdict.C:
			if h.waitsLonger() {
				h.in.Continue()
				continue
			}
			h.in.Kill()
			return fmt.Errorf("%w: %s", errHung, h.suspect)
		case <-settle.C:
			h.member.noteHealthy()
		}
	}
}

// suspects says whether the process seemed to hang, once run has returned: a work that takes
// its time is none of its.
func (h *health) suspects() bool { return h.suspect != "" && h.suspect != isUnfinished }

// heardOfStop takes in the kernel's word.
func (h *health) heardOfStop(stopped bool) {
	if stopped {
		h.suspected(isStopped, h.policy.StopPatience)
	} else if h.suspect == isStopped {
		h.log(slog.LevelInfo, "the process runs again")
		h.clear()
	}
}

// suspected starts the time that the process has left to show that it lives.
func (h *health) suspected(why string, patience time.Duration) {
	if h.suspect == isStopped || (h.suspect == isSilent && why == isSilent) {
		return
	}
	h.log(slog.LevelWarn, "the process seems to hang: "+why)
	drains := h.suspect == isUnfinished // its verdict stands already
	h.suspect = why
	h.nudge.Reset(nudgeInterval)
	if drains {
		h.in.Continue()
		return
	}
	h.verdict.Reset(patience)
	h.heard = time.Time{} // that verdict is gone
	h.hearOut()
}

// hearOut gives a process with attempts in flight the time of their deadline,
// and tells it to continue.
func (h *health) hearOut() {
	if h.member.cfg.Work.InFlight() > 0 {
		h.waitsLonger()
		h.in.Continue()
	}
}

// waitsLonger puts the verdict off to the deadline of what is in flight, if it does
// not wait for that one already: a call may have been made since, by an attempt that
// had still to wait for something, and it is not cut off before its own is over. What
// is given to a sink is given again: later calls keep no process that hangs.
func (h *health) waitsLonger() bool {
	work := h.member.cfg.Work
	switch {
	case work.InFlight() == 0:
		return false
	case h.heard.IsZero():
	case h.member.cfg.Kind == Sink:
		return false
	case !work.Deadline().After(h.awaited), time.Since(h.heard) >= longestHearing:
		return false
	}
	h.await()
	return true
}

// await has the verdict wait for the deadline of what is in flight.
func (h *health) await() {
	if h.heard.IsZero() {
		h.heard = time.Now()
	}
	h.awaited = h.member.cfg.Work.Deadline()
	left := h.policy.AttemptTimeout
	if !h.awaited.IsZero() {
		left = time.Until(h.awaited)
	}
	h.verdict.Reset(min(max(left, 0), time.Until(h.heard.Add(longestHearing))) + lateAnswer)
}

// clear is for a process that has shown that it lives.
func (h *health) clear() {
	h.suspect, h.heard = "", time.Time{}
	h.verdict.Stop()
	h.nudge.Stop()
	if h.ending.Err() != nil {
		h.suspect = isUnfinished
		h.await()
	}
}

func (h *health) startProbe(ctx context.Context) {
	if h.probed != nil {
		return
	}
	probed := make(chan error, 1)
	h.probed = probed
	ctx, cancel := context.WithTimeout(ctx, h.policy.Timeout)
	go func() {
		defer cancel()
		probed <- h.member.cfg.Kind.ping(ctx, h.in.Conn())
	}()
}

func (h *health) endProbe(err error) {
	h.probed = nil
	switch {
	case err != nil:
		h.suspected(isSilent, 0)
	case h.suspect == isSilent:
		h.log(slog.LevelInfo, "the process answers again")
		h.clear()
	}
}

func (h *health) log(level slog.Level, text string) {
	h.member.cfg.Log.Log(context.Background(), level, text,
		h.member.cfg.Kind.String(), h.member.cfg.Name, "pid", h.in.PID(), "in_flight", h.member.cfg.Work.InFlight())
}
