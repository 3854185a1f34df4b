package sink

import (
	"errors"
	"time"
)

// RetryPolicy says when a failed delivery is tried again. It lies outside the
// sinks, so that all of them behave alike.
type RetryPolicy struct {
	// Attempts are made Interval apart; after them the pause doubles with
	// each failure, up to MaxInterval, until the delivery succeeds or a newer
	// version takes its place.
	Attempts int
	Interval time.Duration
	// MaxInterval bounds the pause.
	MaxInterval time.Duration
	// Timeout of one try; a sink's own timeout may be shorter.
	Timeout time.Duration
}

// maxRetryAfter bounds the pause that a receiver may ask for.
const maxRetryAfter = time.Hour

// withDefaults fills in what is not set: 3 attempts 5 s apart, at most 1 min
// between tries, 30 s for one try.
func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Attempts <= 0 {
		p.Attempts = 3
	}
	if p.Interval <= 0 {
		p.Interval = 5 * time.Second
	}
	if p.MaxInterval <= 0 {
		p.MaxInterval = time.Minute
	}
	p.MaxInterval = max(p.MaxInterval, p.Interval)
	if p.Timeout <= 0 {
		p.Timeout = 30 * time.Second
	}
	return p
}

// pause is how long to wait after the given number of failures in a row.
// jitter, in [0, 1), shortens the pauses that follow the regular attempts by up
// to a fifth, so that sinks that failed together do not retry together.
func (p RetryPolicy) pause(failures int, jitter float64) time.Duration {
	if failures < p.Attempts {
		return p.Interval
	}
	d := p.Interval
	for range failures - p.Attempts + 1 {
		if d *= 2; d >= p.MaxInterval {
			d = p.MaxInterval
			break
		}
	}
	return d - time.Duration(jitter*float64(d)/5)
}

// loud says whether the failure with this number is worth a warning in the
// log: the regular attempts are, and then ever fewer, so that a receiver that
// is down for a week does not fill the log.
func (p RetryPolicy) loud(failures int) bool {
	return failures <= p.Attempts || failures&(failures-1) == 0
}

// asked returns the pause that err asks for, within reason.
func asked(err error) (time.Duration, bool) {
	var e *RetryAfterError
	if !errors.As(err, &e) || e.After <= 0 {
		return 0, false
	}
	return min(e.After, maxRetryAfter), true
}
