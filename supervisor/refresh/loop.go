package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

const (
	// describeTimeout bounds the first question to a new process.
	describeTimeout = 10 * time.Second
	// stuckAfter is how long the loop may leave an account alone for which it
	// was woken, with room for it in flight, before it counts as stuck.
	stuckAfter = time.Minute
	// askEvery is how often it is asked again what stands in the way of a refresh
	// that is due much later: before what was told of it fades, which would say
	// that it is over ([event.Type.Fades]).
	askEvery = 20 * time.Minute
)

// Run is the refresh loop of one generation. It settles what stands in the
// spool, then refreshes what is due until ctx ends; it returns when the
// attempts in flight have finished. It returns an error when the connection
// to the provider is lost.
func (k *Keeper) Run(ctx context.Context, remote *sdk.Remote) error {
	if err := k.meet(ctx, remote); err != nil {
		return err
	}
	k.setRunning(true)
	defer k.setRunning(false)
	if k.cfg.Observes {
		return observer{k}.run(ctx)
	}
	defer k.awaitFlights()
	if err := (settling{k, remote}).all(ctx); err != nil {
		return err
	}
	k.ahead.tellGrantedElsewhere()
	// Whoever died between the commit and the write has left the other
	// programs a token that is spent.
	k.ahead.ask()

	k.setRemote(remote)
	polled, stop := context.WithCancel(ctx)
	defer stop()
	go k.PollLogins(polled)
	lost := make(chan error, 1)
	for ctx.Err() == nil {
		k.awake()
		if answers, err := k.alive(ctx, remote); err != nil {
			return err
		} else if !answers {
			continue
		}
		wait := k.startDue(func(a *leased) {
			a.remote = remote
			go func() {
				if err := (&round{leased: a}).run(ctx); errors.Is(err, sdk.ErrConnection) {
					select {
					case lost <- err:
					default:
					}
				}
			}()
		})
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case err := <-lost:
			timer.Stop()
			return err
		case <-k.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

const (
	// aliveFor is how long an answer proves the life of a process.
	aliveFor = 30 * time.Second
	// probeTimeout is how long a process may take to answer a probe.
	probeTimeout = 5 * time.Second
)

// alive makes sure, before a refresh token is entrusted to a process that was
// idle, that it answers: one that hangs is better replaced first. It does not
// ask if nothing is due. An error means that the connection is lost.
func (k *Keeper) alive(ctx context.Context, remote *sdk.Remote) (answers bool, err error) {
	k.mu.Lock()
	now := k.clock.Now()
	_, wait, ok := k.next(now)
	fresh := now.Mono-k.answered < aliveFor
	k.mu.Unlock()
	if !ok || wait > 0 || fresh || ctx.Err() != nil {
		return true, nil
	}
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err = remote.Ping(probe)
	switch {
	case err == nil:
		k.sawAnswer()
		return true, nil
	case ctx.Err() != nil:
		return true, nil // the loop ends anyway
	case !errors.Is(err, context.DeadlineExceeded):
		return false, err
	}
	k.cfg.Log.Warn("the provider's process does not answer; nothing is sent through it until it does",
		"provider", k.cfg.Provider, "error", err)
	if k.cfg.Probe != nil {
		k.cfg.Probe()
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return false, nil
}

// meet learns how the broker treats its tokens and plans accordingly.
func (k *Keeper) meet(ctx context.Context, remote *sdk.Remote) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := remote.Describe(ctx)
	if err != nil {
		return fmt.Errorf("ask provider %s who it is: %w", k.cfg.Provider, err)
	}
	k.sawAnswer()
	d = belief.Description(d)
	if err := k.recall(ctx, d.Limits); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	was, is := k.nature(), natureOf(d)
	other := is.mints != was.mints || is.ways != was.ways || (is.risk(0) == "") != (was.risk(0) == "") || is.grace() != was.grace() // a provider was replaced by one of another kind
	k.learn(is)
	k.open.Learn(d)
	if !d.Keepalive {
		k.sessionsOf.forget()
	}
	if !was.met || other {
		for _, a := range k.accounts {
			a.wish.unmet = !a.ifIdle(func(a *leased) { // otherwise its record is in other hands, and release does it
				a.apply()
				planIdle(a)
			})
		}
	}
	return nil
}

// startDue starts every account that is due, as far as there is room in
// flight, and returns how long the loop may sleep.
func (k *Keeper) startDue(start func(*leased)) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.hasRoom() {
		name, wait, ok := k.next(k.clock.Now())
		if !ok || wait > 0 {
			k.load.crowd(false, k.clock.Now())
			if !ok {
				return idleSleep
			}
			return wait
		}
		a := k.accounts[name]
		k.measured.Late.saw(a.late(-wait).Seconds())
		a.plan.notDue()
		l := a.try()
		if l == nil {
			a.wish.missed = true // release plans it
			continue
		}
		k.countIn(a.cfg.Timeout)
		start(l)
	}
	_, wait, ok := k.heap.Next(k.clock.Now())
	k.load.crowd(ok && wait <= 0, k.clock.Now())
	return idleSleep // a flight that ends wakes the loop
}

// late is how long after its moment the account has its turn: nobody was late for a token
// before that came here, as by an import. The caller holds k.mu.
func (a *account) late(late time.Duration) time.Duration {
	if !a.stored() {
		return late
	}
	return max(0, min(late, a.keeper.clock.Now().Wall.Sub(a.rec().StoredAt)))
}

// idleSleep is for a loop that has nothing to wait for but a wake.
const idleSleep = 24 * time.Hour

// Look compares the clocks: timers stop while a machine sleeps, and the wall
// clock jumps. It is called at least every 30 s.
func (k *Keeper) Look() {
	k.DropLogins()
	k.mu.Lock()
	now := k.clock.Now()
	ask := k.running && now.Mono-k.ahead.asked.Mono >= askEvery
	drift := schedule.Drift(k.looked, now)
	k.looked = now
	moved := 0
	if drift > driftTolerated {
		moved = k.agenda.replan(now)
	}
	faults := append(k.watch.audit(now), k.watch.lookAtLoop(now)...)
	_, wait, ok := k.next(now)
	k.mu.Unlock()
	if drift > driftTolerated || drift < -driftTolerated {
		k.cfg.Events.Publish(slog.LevelWarn, event.Event{
			Type: event.ClockJumped, Provider: k.cfg.Provider,
			Message: fmt.Sprintf("the wall clock moved by %s against the monotonic one; %d accounts are due earlier now",
				drift.Round(time.Second), moved),
		})
	}
	k.watch.tell(faults)
	k.ahead.tellLimits()
	if ask {
		k.ahead.ask()
	} else {
		k.ahead.peeks.all(false)
	}
	if ok && wait <= 0 {
		k.signal()
	}
}
