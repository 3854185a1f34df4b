package process

import (
	"testing"
	"testing/synctest"
	"time"
)

// idle and inFlight processes, and what becomes of them.
func TestHangs(t *testing.T) {
	const deadline = 30 * time.Second
	for _, c := range []struct {
		name     string
		inFlight bool
		hang     func(*rig, *memInstance)
		// mend is called, if set, 1.5 s after the hang.
		mend         func(*rig, *memInstance)
		killedWithin [2]time.Duration // zero: never
		continued    bool
	}{
		{
			name: "stopped", hang: stop,
			killedWithin: [2]time.Duration{2 * time.Second, 2 * time.Second},
		},
		{
			name: "stopped and continued", hang: stop,
			mend: func(_ *rig, in *memInstance) { in.stops <- false },
		},
		{
			name: "stopped in flight", inFlight: true, hang: stop, continued: true,
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
		{
			name: "stopped in flight and continued", inFlight: true, hang: stop, continued: true,
			mend: func(_ *rig, in *memInstance) { in.stops <- false },
		},
		{
			name: "stopped, then an attempt falls due", hang: stop, continued: true,
			mend:         func(r *rig, in *memInstance) { r.landOnExit(in, r.work.attempt(deadline)) },
			killedWithin: [2]time.Duration{deadline, deadline + 4*time.Second},
		},
		{
			name: "silent", hang: fallSilent,
			killedWithin: [2]time.Duration{5 * time.Second, 5 * time.Second},
		},
		{
			name: "silent in flight", inFlight: true, hang: fallSilent, continued: true,
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
		{
			name: "silent in flight for a while", inFlight: true, hang: fallSilent, continued: true,
			mend: func(r *rig, in *memInstance) {
				time.AfterFunc(10*time.Second, func() {
					in.mu.Lock()
					defer in.mu.Unlock()
					in.silent = false
				})
			},
		},
		{
			name: "hangs during a restart", inFlight: true, continued: true,
			hang: func(r *rig, in *memInstance) {
				go func() { _, _ = r.member.Restart(r.t.Context()) }()
				synctest.Wait()
				stop(r, in)
			},
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
		{
			name: "silent in flight, then stopped too", inFlight: true, continued: true,
			hang: func(r *rig, in *memInstance) {
				fallSilent(r, in)
				time.AfterFunc(10*time.Second, func() { in.stops <- true })
			},
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
		{
			name: "calls when the restart was asked for already", inFlight: true, continued: true,
			hang:         func(r *rig, in *memInstance) { r.stop() },
			mend:         func(r *rig, _ *memInstance) { r.work.calls(deadline) },
			killedWithin: [2]time.Duration{deadline + 1500*time.Millisecond, deadline + 3500*time.Millisecond},
		},
		{
			name: "calls when it is heard out already", inFlight: true, hang: stop, continued: true,
			mend:         func(r *rig, _ *memInstance) { r.work.calls(deadline) },
			killedWithin: [2]time.Duration{deadline + 1500*time.Millisecond, deadline + 3500*time.Millisecond},
		},
		{
			name: "calls while the clock is set ahead", inFlight: true,
			hang: func(r *rig, in *memInstance) {
				r.wall.Store(int64(24 * time.Hour))
				r.stop()
			},
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
		{
			name: "does not finish during a shutdown", inFlight: true,
			hang:         func(r *rig, in *memInstance) { r.stop() },
			killedWithin: [2]time.Duration{deadline, deadline + 2*time.Second},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, r *rig) {
				r.after(10 * time.Second)
				in := r.launcher.newest()
				if c.inFlight {
					r.landOnExit(in, r.work.attempt(deadline))
				}
				began := time.Now()
				c.hang(r, in)
				r.after(1500 * time.Millisecond)
				if c.mend != nil {
					c.mend(r, in)
				}
				r.after(40 * time.Second)
				switch at := in.killed(); {
				case c.killedWithin[1] == 0:
					if !at.IsZero() {
						t.Errorf("killed after %s", at.Sub(began))
					}
				case at.IsZero():
					t.Error("not killed")
				case at.Sub(began) < c.killedWithin[0] || at.Sub(began) > c.killedWithin[1]:
					t.Errorf("killed after %s, want %s", at.Sub(began), c.killedWithin)
				}
				if got := in.continues() > 0; got != c.continued {
					t.Errorf("told to continue: %t, want %t", got, c.continued)
				}
				r.work.land()
			})
		})
	}
}

// A process whose calls never end is not heard out for ever.
func TestHearingEnds(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		r.after(time.Second)
		in := r.launcher.newest()
		r.landOnExit(in, r.work.attempt(30*time.Second))
		began := time.Now()
		stop(r, in)
		for in.killed().IsZero() && time.Since(began) < time.Hour {
			r.work.calls(30 * time.Second)
			r.after(time.Second)
		}
		if d := in.killed().Sub(began); d < longestHearing || d > longestHearing+2*time.Second {
			t.Errorf("killed after %s, want %s", d, longestHearing)
		}
	})
}

// Deliveries that begin while a sink's program hangs keep it no longer than the first of
// them: what it was given is given again.
func TestNewDeliveriesKeepNoSinkThatHangs(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		r.after(time.Second)
		in := r.launcher.newest()
		r.landOnExit(in, r.work.attempt(30*time.Second))
		began := time.Now()
		fallSilent(r, in)
		for in.killed().IsZero() && time.Since(began) < time.Hour {
			r.work.calls(30 * time.Second)
			r.after(time.Second)
		}
		if d := in.killed().Sub(began); d > 40*time.Second {
			t.Errorf("killed after %s", d)
		}
	}, func(r *rig) { r.kind = Sink })
}

func TestIdleProbesAreRare(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		r.after(time.Second)
		in := r.launcher.newest()
		in.hang()
		began := time.Now()
		for in.killed().IsZero() {
			r.after(time.Second)
		}
		if d := in.killed().Sub(began); d > 15*time.Minute+5*time.Second || d < 14*time.Minute {
			t.Errorf("a silent process was killed after %s", d)
		}
		r.after(2 * time.Second)
		r.state(Running)
	})
}

func stop(_ *rig, in *memInstance) { in.stops <- true }

func fallSilent(r *rig, in *memInstance) {
	in.hang()
	r.member.Probe()
}

// landOnExit ends the attempt when the process is gone, as a call does whose
// connection is lost.
func (r *rig) landOnExit(in *memInstance, land func()) {
	r.work.mu.Lock()
	r.work.lander = land
	r.work.mu.Unlock()
	go func() {
		<-in.Exited()
		land()
	}()
}
