package keepalive

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
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
	for ctx.Err() == nil {
		due, wait := b.next()
		if wait > 0 {
			sleep(ctx, wait, b.wake)
			continue
		}
		go func() { // which may outlive the generation, and counts for nothing then
			defer b.recovered(due)
			b.send(ctx, p, due)
		}()
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

// meet learns how often sessions need a beat. A provider that does not say so is asked
// again.
func (b *Beats) meet(ctx context.Context, p Provider) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, asksAgain) {
		asked, cancel := context.WithTimeout(ctx, describeTimeout)
		d, err := p.Describe(asked)
		cancel()
		if err == nil {
			b.take(belief.Description(d))
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
		b.every = min(max(d.KeepaliveEvery, sdk.LeastKeepalive), rarest)
	}
}

// next takes the account out of its lane whose beat is due; if none is, or none may be
// in flight, it says how long to wait, unless something comes up.
func (b *Beats) next() (due beat, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.every == 0 {
		return beat{}, schedule.Farthest
	}
	now := b.clock.Now()
	if drift := schedule.Drift(b.looked, now); drift.Abs() > driftTolerated {
		b.lanes.replan(now)
		b.woke = now.Mono
	}
	b.looked = now
	name, in, wait := b.lanes.next(now)
	if wait > 0 {
		return beat{}, min(wait, lookEvery)
	}
	due = beat{name: name, generation: b.generation, lane: in, began: now}
	if in == quick { // the others wait for reasons of their own
		due.late = min(-wait, now.Mono-b.woke)
	}
	return due, 0
}
