package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// promised is when an account is tried again after a failure, by the back-off or
// by the server's word (RFC 9110, 10.2.3), and of which record that was said.
type promised struct {
	at      time.Time
	reason  promise.Reason
	text    string
	version uint64
}

// promise notes the next try, and why it waits. The caller holds k.mu.
func (a *account) promise(at time.Time) {
	a.plan.promised = promised{at: at, reason: a.plan.pause, text: a.plan.pauseText, version: a.rec().Version}
}

// promisedFor bounds how long a promise counts, in case the clock was set back.
const promisedFor = schedule.MaxRetryAfter

// kept is the moment before which nothing is tried again by itself; zero: there
// is none. It is kept by whatever plans the account anew, as the end of a hold
// does. The caller holds k.mu.
func (a *account) kept(now time.Time) promised {
	p := a.plan.promised
	if p.version != a.rec().Version || !p.at.After(now) || p.at.After(now.Add(promisedFor)) {
		return promised{}
	}
	return p
}

// resumeAt plans an account whose attempt was answered, or failed, and could not
// be noted yet, or not be compared with the spool: that comes before anything else,
// whatever the record says meanwhile. The caller holds k.mu.
func (k *Keeper) resumeAt(a *account, now schedule.Instant) time.Time {
	p := a.kept(now.Wall)
	at := moment.Later(p.at, now.Wall)
	a.pauseFor(p.reason, p.text)
	k.dueAt(a, at, now)
	return at
}
