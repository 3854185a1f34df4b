package refresh

import (
	"context"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// loop is how the refresh loop stands: whether it runs and through which process, what
// is in flight, and whether it comes to its turn. It is under the Keeper's lock.
type loop struct {
	lock  sync.Locker
	clock *schedule.Clock
	// wake interrupts its sleep.
	wake chan struct{}
	agenda
	flights
	running  bool
	remote   *sdk.Remote   // nil while no process serves
	serves   chan struct{} // closed when one serves
	over     chan struct{} // closed when another Keeper has the accounts
	retire   *sync.Once
	answered time.Duration // when the process last answered, on the monotonic clock
	turns    uint64        // how often it has looked at the heap
	nudged   nudge
}

func newLoop(lock sync.Locker, clock *schedule.Clock, most int) loop {
	return loop{
		lock: lock, clock: clock, wake: make(chan struct{}, 1), serves: make(chan struct{}), over: make(chan struct{}), retire: &sync.Once{}, agenda: newAgenda(),
		flights: flights{most: most, ended: sync.NewCond(lock)},
	}
}

// signal interrupts the loop's sleep without blocking.
func (l *loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) sawAnswer() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.answered = l.clock.Now().Mono
}

// countOut counts an attempt in flight out.
func (l *loop) countOut() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.inFlight--
	l.oneEnded()
	l.signal()
}

// awaitProcess waits for a process that serves, counts an attempt in flight, and returns what
// it goes through: nil when ctx has ended before that.
func (l *loop) awaitProcess(ctx context.Context, timeout time.Duration) *sdk.Remote {
	for {
		l.lock.Lock()
		remote, serves := l.remote, l.serves
		if remote != nil {
			l.countIn(timeout)
		}
		l.lock.Unlock()
		if remote != nil {
			return remote
		}
		select {
		case <-serves:
		case <-l.over:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitFlights lets no new login begin and waits for every attempt in flight.
func (l *loop) awaitFlights() {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.remote != nil {
		l.remote, l.serves = nil, make(chan struct{})
	}
	l.await()
}

func (l *loop) setRunning(on bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.running = on
}

func (l *loop) setRemote(r *sdk.Remote) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.remote = r
	close(l.serves)
}

// Stuck says whether the loop sleeps past an account that is due, with room in
// flight, although it was woken for it and its heap was made anew. Whatever
// waits for a reason does not count.
func (l *loop) Stuck() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	now := l.clock.Now()
	return l.mayAct(now) && l.asleep(now)
}

// awake notes that the loop comes to its turn.
func (l *loop) awake() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.turns++
}

// nudge is a wake of the loop that somebody waits for.
type nudge struct {
	given bool
	at    schedule.Instant
	turns uint64 // that the loop had had
}

// asleep says whether the loop has not come to its turn although it was woken
// for an account that is due and has room in flight. The caller holds k.mu.
func (l *loop) asleep(now schedule.Instant) bool {
	return l.nudged.given && l.nudged.turns == l.turns && now.Mono-l.nudged.at.Mono >= stuckAfter
}

// mayAct says whether the loop could take an account now. The caller holds
// k.mu.
func (l *loop) mayAct(now schedule.Instant) bool {
	_, wait, ok := l.next(now)
	return l.remote != nil && l.hasRoom() && ok && wait <= 0
}
