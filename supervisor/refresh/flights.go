package refresh

import (
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// flights are the attempts in flight. They are under the Keeper's lock, which is that
// of ended.
type flights struct {
	most     int        // that may be in flight
	inFlight int        // attempts that take a place of those that there are
	polling  int        // polls of logins, which take none
	deadline time.Time  // the latest of both
	latest   time.Time  // the latest of all that there were
	ended    *sync.Cond // one of them has ended
}

// countIn counts an attempt in flight; loop.countOut counts it out. The caller
// holds the lock.
func (f *flights) countIn(timeout time.Duration) {
	f.inFlight++
	f.awaits(timeout)
}

// hasRoom says whether one more attempt may be in flight. The caller holds the lock.
func (f *flights) hasRoom() bool { return f.inFlight < f.most }

// awaits notes how long one of them may take from now on: when it begins, and again
// when its call is made, which may be much later. The caller holds the lock.
func (f *flights) awaits(timeout time.Duration) {
	if d := time.Now().Add(timeout); f.inFlight+f.polling > 0 && d.After(f.deadline) {
		f.deadline = d
		f.latest = moment.Later(f.latest, d)
	}
}

// oneEnded tells who waits that an attempt is over. The caller holds the lock.
func (f *flights) oneEnded() {
	if f.inFlight+f.polling == 0 {
		f.deadline = time.Time{}
	}
	f.ended.Broadcast()
}

// await returns when none is in flight any more. The caller holds the lock.
func (f *flights) await() {
	for f.inFlight+f.polling > 0 {
		f.ended.Wait()
	}
}

// InFlight is how many attempts are under way, polls of logins among them.
func (f *flights) InFlight() int {
	f.ended.L.Lock()
	defer f.ended.L.Unlock()
	return f.inFlight + f.polling
}

// Deadline is when the last of the attempts in flight must have ended, by the
// monotonic clock; zero if none is.
func (f *flights) Deadline() time.Time {
	f.ended.L.Lock()
	defer f.ended.L.Unlock()
	return f.deadline
}

// Latest is the latest deadline of all attempts so far, by the monotonic clock.
func (f *flights) Latest() time.Time {
	f.ended.L.Lock()
	defer f.ended.L.Unlock()
	return f.latest
}
