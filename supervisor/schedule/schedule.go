// Package schedule says when an account is due. It is pure: every decision
// takes the time as an argument, and chance as a number in [0, 1).
package schedule

import "time"

// Policy is when a token that was refreshed is to be refreshed again.
type Policy struct {
	// BeforeExpiry of the access token.
	BeforeExpiry time.Duration
	// Every is counted from the last refresh; 0: not used. The earlier of
	// both counts.
	Every time.Duration
	// Jitter is the largest time by which chance makes a refresh earlier.
	Jitter time.Duration
}

// bornDead is the pause after a token that was dead when it arrived (a
// negative expires_in, say), so that a confused server is not hammered.
const bornDead = 10 * time.Second

// Due is when a token issued at issued, which lives for lifetime, is to be
// refreshed. However large BeforeExpiry is, a quarter of the lifetime passes
// first, so that short-lived tokens do not make a busy loop.
func Due(p Policy, issued time.Time, lifetime time.Duration, chance float64) time.Time {
	if lifetime <= 0 {
		return issued.Add(bornDead)
	}
	after := lifetime - p.BeforeExpiry
	if p.Every > 0 {
		after = min(after, p.Every)
	}
	// The jitter stays small beside short lifetimes.
	jitter := min(p.Jitter, lifetime/20)
	after -= time.Duration(chance * float64(jitter))
	return issued.Add(max(after, lifetime/4))
}

// Least is the shortest pause after a refresh that succeeded, whatever times
// its token carries.
func Least(lifetime time.Duration) time.Duration {
	return min(bornDead, max(lifetime/4, retryLeast))
}

// Failure is what the time of the next try depends on.
type Failure struct {
	// InRow counts this failure and those directly before it, from 1.
	InRow int
	// Misconfigured: it will not heal by itself soon.
	Misconfigured bool
	// RetryAfter is what the server asked for; it is obeyed.
	RetryAfter time.Duration
}

const (
	retryFirst         = 2 * time.Second
	retryMost          = time.Minute
	misconfiguredFirst = time.Minute
	misconfiguredMost  = 15 * time.Minute
	// retryShare is the part of the time left that a pause may take, so that
	// several tries fit in before the token dies.
	retryShare = 6
	retryLeast = time.Second
)

// Retry is when to try again after a failure at now, for an access token that
// dies at expiry. Pauses double, and shrink to fit into the time that is
// left; once the token is dead they are as long as a patient server bears.
func Retry(f Failure, now, expiry time.Time, chance float64) time.Time {
	first, most := retryFirst, retryMost
	if f.Misconfigured {
		first, most = misconfiguredFirst, misconfiguredMost
	}
	pause := most
	if f.InRow < 16 {
		pause = min(first<<max(f.InRow-1, 0), most)
	}
	if left := expiry.Sub(now); left > 0 && !f.Misconfigured {
		pause = min(pause, max(left/retryShare, retryLeast))
	}
	// A fifth of chance keeps many accounts from trying in step.
	pause += time.Duration(chance * float64(pause) / 5)
	return now.Add(max(pause, f.RetryAfter))
}
