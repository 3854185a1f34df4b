package keepalive

import (
	"context"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

const (
	// describeTimeout bounds the question how often a session needs a beat, and
	// asksAgain is the longest pause before it is asked again.
	describeTimeout = 10 * time.Second
	asksAgain       = time.Minute
	// serves is how often it is looked whether tokens may be used already.
	serves = 250 * time.Millisecond
	// lookEvery is how often the clocks are compared, at least: after the machine has
	// slept, beats are due at once.
	lookEvery = 15 * time.Second
	// driftTolerated is how far the clocks may drift apart between two looks.
	driftTolerated = 2 * time.Second
	// leaving is how long the end of a generation waits for beats that do not mind
	// that their call is over.
	leaving = 5 * time.Second
)

// Provider is the process of which beats ask something; [sdk.Remote] is one.
type Provider interface {
	Describe(ctx context.Context) (sdk.Description, error)
	KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error)
}

// Run makes the beats of one generation until ctx ends. Where the provider's sessions
// need none it does nothing.
func (b *Beats) Run(ctx context.Context, p Provider) {
	b.meet(ctx, p)
	for b.cadence() > 0 && !b.cfg.Accounts.Serves() && sleep(ctx, serves, nil) {
	}
	b.begin()
	var flights sync.WaitGroup
	defer await(&flights)
	for ctx.Err() == nil {
		due, wait := b.next()
		if wait > 0 {
			sleep(ctx, wait, b.wake)
			continue
		}
		flights.Go(func() {
			defer b.recovered(due)
			b.send(ctx, p, due)
		})
	}
}

// sleep says whether ctx lasts.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

func await(flights *sync.WaitGroup) {
	landed := make(chan struct{})
	go func() { flights.Wait(); close(landed) }()
	timer := time.NewTimer(leaving)
	defer timer.Stop()
	select {
	case <-landed:
	case <-timer.C:
	}
}

// meet learns how often sessions need a beat. A provider that does not say so is asked
// again.
func (b *Beats) meet(ctx context.Context, p Provider) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, asksAgain) {
		asked, cancel := context.WithTimeout(ctx, describeTimeout)
		d, err := p.Describe(asked)
		cancel()
		if err == nil {
			b.take(d)
			return
		}
		if pause == time.Second && ctx.Err() == nil {
			b.cfg.Log.Warn("the provider does not say how often its sessions need a call; it is asked again", "provider", b.cfg.Provider, "error", err)
		}
		sleep(ctx, pause, nil)
	}
}

func (b *Beats) take(d sdk.Description) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.met, b.every = true, 0
	if d.Keepalive && d.KeepaliveEvery > 0 {
		b.every = max(d.KeepaliveEvery, sdk.LeastKeepalive)
	}
}

// begin plans the first beats of a generation, spread over a quarter of the cadence:
// the sessions have waited while nobody made any.
func (b *Beats) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heap, b.looked = schedule.NewHeap(), b.clock.Now()
	if b.every == 0 {
		return
	}
	b.lanes = lanesFor(len(b.cfg.Names), b.every)
	for n, name := range b.cfg.Names {
		b.plan(name, time.Duration(float64(b.every)/4*float64(n)/float64(len(b.cfg.Names))), b.looked)
	}
}

// next takes the account out of the heap whose beat is due; if none is, or none may be
// in flight, it says how long to wait, unless something comes up.
func (b *Beats) next() (due beat, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	if drift := schedule.Drift(b.looked, now); drift.Abs() > driftTolerated {
		b.heap.Replan(now)
		b.woke = now.Mono
	}
	b.looked = now
	for {
		name, wait, ok := b.heap.Next(now)
		switch {
		case !ok && b.every == 0:
			return beat{}, schedule.Farthest
		case !ok || b.lanes.full():
			return beat{}, lookEvery
		case wait > 0:
			return beat{}, min(wait, lookEvery)
		}
		due = beat{name: name, began: now, late: min(-wait, now.Mono-b.woke), slow: b.sessions[name].Failures > 0}
		if b.lanes.enter(due.slow) {
			b.heap.Remove(name)
			return due, 0
		}
		b.heap.Set(name, now.Wall.Add(soon), now) // others that are well come first
	}
}

// lanes are the beats in flight: those of accounts that had no answer last time have
// places of their own, so that they keep none of the others waiting.
type lanes struct {
	quick, slow         int // in flight
	mostQuick, mostSlow int
}

const (
	leastAtOnce = 64
	mostAtOnce  = 1024
)

// lanesFor has places for twice what so many accounts need, by how long an answer
// usually takes.
func lanesFor(accounts int, every time.Duration) lanes {
	need := int(2 * float64(accounts) * promise.UsualAnswer.Seconds() / every.Seconds())
	most := min(max(need, leastAtOnce), mostAtOnce)
	return lanes{mostQuick: most, mostSlow: most / 2}
}

func (l *lanes) full() bool { return l.quick >= l.mostQuick }

func (l *lanes) enter(slow bool) bool {
	n, most := &l.quick, l.mostQuick
	if slow {
		n, most = &l.slow, l.mostSlow
	}
	if *n >= most {
		return false
	}
	*n++
	return true
}

// leave is told once of each that has entered; of one that a generation has left behind
// later, or never.
func (l *lanes) leave(slow bool) {
	if slow {
		l.slow = max(0, l.slow-1)
		return
	}
	l.quick = max(0, l.quick-1)
}
