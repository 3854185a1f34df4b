// Package schedule says when an account is due. It is pure: every decision
// takes the time as an argument, and chance as a number in [0, 1).
package schedule

import "time"

// Policy is when a token that was refreshed is to be refreshed again.
type Policy struct {
	// BeforeExpiry of the access token.
	BeforeExpiry time.Duration
	// BeforeEnd of the refresh token, if that is more than BeforeExpiry.
	BeforeEnd time.Duration
	// Every is counted from the last refresh; 0: not used. The earlier of
	// both counts.
	Every time.Duration
	// Budget is a time between two refreshes by which tokens are replaced before they need
	// it, so that a part of their life is left if no next one comes; 0: none. It is
	// counted as Every is, and the life of a token does not bound it.
	Budget time.Duration
	// Jitter is the largest time by which chance makes a refresh earlier.
	Jitter time.Duration
}

// asLateAsMust is how long before its end an access token is replaced that dies with
// its refresh: until all consumers have the next one they stand still, and a few
// tries still fit in. Who configures another time has it.
const asLateAsMust = time.Minute

// By is p with what its provider says where the configuration says nothing: how long
// before its expiry an access token is to be refreshed, and whether a refresh kills
// the one that consumers hold. The refresh token is not used later for that.
func (p Policy) By(before time.Duration, oldAccessDies bool) Policy {
	if p.BeforeExpiry == 0 {
		p.BeforeExpiry = before
		if oldAccessDies && (before <= 0 || before > asLateAsMust) {
			p.BeforeExpiry, p.BeforeEnd = asLateAsMust, before
		}
	}
	if oldAccessDies {
		p.Jitter = 0 // which would only make it earlier
	}
	return p
}

// Failure is what the time of the next try depends on.
type Failure struct {
	// InRow counts this failure and those directly before it, from 1.
	InRow int
	// Misconfigured: it will not heal by itself soon.
	Misconfigured bool
	// RetryAfter is what the server asked for; it is obeyed, up to
	// [MaxRetryAfter].
	RetryAfter time.Duration
	// Rest is for how long there is nothing to try with, whatever dies meanwhile.
	Rest time.Duration
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
	// lastTry is how long before a token dies it is tried once more that is tried so
	// slowly that its next turn would come after that.
	lastTry = 10 * time.Second
)

// MaxRetryAfter bounds for how long a server may ask to be left alone: some
// refresh tokens live no longer.
const MaxRetryAfter = time.Hour

// Retry is when to try again after a failure at now, for a token that dies at
// expiry; zero: nobody knows when. Pauses double, and shrink to fit into the time that is
// left, or, of what will not heal soon, to one try before that is over; once the token is dead they are as long as a patient server bears.
func Retry(f Failure, now, expiry time.Time, chance float64) time.Time {
	first, most := retryFirst, retryMost
	if f.Misconfigured {
		first, most = misconfiguredFirst, misconfiguredMost
	}
	pause := most
	if f.InRow < 16 {
		pause = min(first<<max(f.InRow-1, 0), most)
	}
	left := expiry.Sub(now)
	if left > 0 && !f.Misconfigured {
		pause = min(pause, max(left/retryShare, retryLeast))
	}
	// A fifth of chance keeps many accounts from trying in step.
	pause += time.Duration(chance * float64(pause) / 5)
	if f.Misconfigured && pause >= left && left >= 2*lastTry {
		pause = left - lastTry
	}
	return now.Add(max(pause, min(f.RetryAfter, MaxRetryAfter), f.Rest))
}
