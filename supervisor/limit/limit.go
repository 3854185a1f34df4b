// Package limit says when a broker that allows an account so many requests, or so
// many failed logins, may be asked for a token again. Everything here is pure.
package limit

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

const (
	// window is what a broker counts in.
	window = time.Hour
	// kept is how many requests are remembered. A limit above it is none: the pauses
	// after failures keep an account below that.
	kept = 300
	// forPeople is the limit from which on an account leaves one request of each hour
	// to a person.
	forPeople = 3
)

// Made is a request that was announced, At a moment of a clock that nobody sets and that
// goes on while the machine sleeps.
type Made struct {
	Attempt string
	At      time.Duration
	// Poll names the login that it polled; "": none. However often one is polled, it
	// is one request: the broker gives one token for it, and has asked to be polled.
	Poll string
	// Failed: the broker refused it as a login that failed.
	Failed bool
}

// Ask is a request that is to be made.
type Ask struct {
	// Login: it proves who asks, and counts as a failed login if it is refused.
	Login bool
	// Insisted: a person wants it.
	Insisted bool
	// Poll is as in [Made]: earlier polls of the same login do not keep it back.
	Poll string
	// Saves: without it a token, or a login, would be lost. So it may take what is left
	// for a person, if that is free, from the moment Last on.
	Saves bool
	Last  time.Duration
	// Again: it repeats one that has failed. What is left of the hour's requests is
	// spread up to the moment Until, and after that over the time until one is free
	// again. Soon: the first repetition is not, unless there is only one left.
	Again, Soon bool
	Until       time.Duration
	// Every: from then on one more is made in each interval of so long, of which none is
	// to wait because of this one. 0: nobody knows of any.
	Every time.Duration
}

// Rule is what a broker allows, and how much later than its announcement a request may
// reach it.
type Rule struct {
	sdk.Limits
	Slack time.Duration
}

// Hold is how long a request has to wait, and why.
type Hold struct {
	Wait time.Duration // 0: it may be made
	// Counted are the requests, or with Failed the failed logins, that keep it, and
	// Since is when the first of them was announced.
	Counted int
	Since   time.Duration
	Failed  bool
	// Locked: they are so many that the broker has locked the account out.
	Locked bool
	// Left is what is kept for a person.
	Left int
	// Spread: it is put off so that what is left lasts.
	Spread bool
	// Owed: what is left is needed for those that are made after it.
	Owed bool
}

// Next says how long a request has to wait. Of made, the oldest comes first.
func (r Rule) Next(made []Made, ask Ask, now time.Duration) Hold {
	made = besidePolls(made, ask.Poll)
	hold := r.nextRequest(made, ask, now)
	if !ask.Login || r.FailedLoginsPerHour <= 0 {
		return hold
	}
	if h := r.nextLogin(made, now); h.Wait >= hold.Wait && h.Wait > 0 {
		return h
	}
	return hold
}

// Unasked is how many requests an hour an account may make by itself; 0: any number.
func (r Rule) Unasked() int {
	if r.RequestsPerHour >= forPeople {
		return r.RequestsPerHour - 1
	}
	return max(r.RequestsPerHour, 0)
}

// Evenly is the least time between requests that an account makes by itself of which none
// has to wait for the others; 0: any.
func (r Rule) Evenly() time.Duration {
	if r.Unasked() == 0 {
		return 0
	}
	return (window + r.Slack) / time.Duration(r.Unasked())
}

func (r Rule) nextRequest(made []Made, ask Ask, now time.Duration) Hold {
	recent := made
	for len(recent) > 0 && r.fresh(recent[0], now) == 0 {
		recent = recent[1:]
	}
	if r.RequestsPerHour <= 0 || len(recent) == 0 {
		return Hold{}
	}
	allowed := r.Unasked()
	if ask.Insisted || ask.Saves && ask.Last <= now {
		allowed = r.RequestsPerHour
	}
	hold := r.counted(recent, allowed, now)
	if last := max(r.counted(recent, r.RequestsPerHour, now).Wait, ask.Last-now); ask.Saves && last < hold.Wait {
		hold.Wait = last
	}
	if wait := r.spread(recent, ask) - now; wait > hold.Wait {
		hold = Hold{Wait: wait, Counted: len(recent), Since: recent[0].At, Spread: true}
	}
	if wait := r.owed(recent, ask.Every, now); wait > hold.Wait {
		hold = Hold{Wait: wait, Counted: len(recent), Since: recent[0].At, Owed: true}
	}
	return hold
}

// owed is how long a request has to wait so that those which are made after it, one in
// each interval, need not: until enough of what was made before is forgotten when their
// turn comes. Whatever waits for those of them alone that came before it is not held
// against the first.
func (r Rule) owed(recent []Made, every, now time.Duration) (wait time.Duration) {
	if every <= 0 {
		return 0
	}
	for n, after := 1, every; after < window+r.Slack; n, after = n+1, after+every {
		// What may count beside n of them when the next one comes.
		beside := r.Unasked() - 1 - n
		if beside < 0 || beside >= len(recent) {
			continue
		}
		wait = max(wait, r.fresh(recent[len(recent)-1-beside], now+after))
	}
	return wait
}

// counted is how long a request has to wait of which so many are allowed.
func (r Rule) counted(recent []Made, allowed int, now time.Duration) Hold {
	if len(recent) < allowed {
		return Hold{}
	}
	return Hold{
		Wait: r.fresh(recent[len(recent)-allowed], now), Counted: len(recent), Since: recent[0].At,
		Left: max(0, r.RequestsPerHour-len(recent)),
	}
}

// spread is before when a request is not repeated, so that what is left lasts. Where
// there is a moment up to which it has to, the last one is made then. Where there is
// none any more, each pause is as long as all those before it: a short outage is over
// soon, and a long one does not take all that an hour has.
func (r Rule) spread(recent []Made, ask Ask) time.Duration {
	left := r.Unasked() - len(recent)
	if ask.Saves {
		left = r.RequestsPerHour - len(recent)
	}
	last := recent[len(recent)-1].At
	switch {
	case !ask.Again || ask.Insisted || left <= 0 || ask.Soon && left > 1:
		return last
	case ask.Until > last:
		return last + min(ask.Until-last, window)/time.Duration(left)
	}
	return last + r.fresh(recent[0], last)>>min(left, 62)
}

// nextLogin keeps away from the failure that would lock the account out, and waits
// out what has.
func (r Rule) nextLogin(made []Made, now time.Duration) Hold {
	var failed []Made
	var hold Hold
	for _, m := range made {
		if !m.Failed {
			continue
		}
		failed = append(failed, m)
		first := len(failed) - r.FailedLoginsPerHour
		if first < 0 || m.At-failed[first].At >= window+r.Slack {
			continue
		}
		if wait := m.At + r.LockedOutFor + r.Slack - now; wait > 0 {
			hold = Hold{Wait: wait, Counted: r.FailedLoginsPerHour, Since: failed[first].At, Failed: true, Locked: true}
		}
	}
	for len(failed) > 0 && r.fresh(failed[0], now) == 0 {
		failed = failed[1:]
	}
	allowed := max(1, r.FailedLoginsPerHour-1)
	if len(failed) < allowed {
		return hold
	}
	if wait := r.fresh(failed[len(failed)-allowed], now); wait > hold.Wait {
		return Hold{Wait: wait, Counted: len(failed), Since: failed[0].At, Failed: true, Locked: hold.Locked}
	}
	return hold
}

// fresh is for how much longer a request counts.
func (r Rule) fresh(m Made, now time.Duration) time.Duration {
	return max(0, m.At+window+r.Slack-now)
}

// With returns those of made that count, and one more.
func (r Rule) With(made []Made, one Made) []Made {
	return append(besidePolls(r.Keep(made, one.At), one.Poll), one)
}

// besidePolls are the requests that are no polls of that login. What the broker has
// refused as a failed login stays one.
func besidePolls(made []Made, login string) []Made {
	if login == "" {
		return made
	}
	return slices.DeleteFunc(slices.Clone(made), func(m Made) bool { return m.Poll == login && !m.Failed })
}

// Keep returns those of made that count, or may come to count, at now: failed logins
// for as long as they can have locked the account out.
func (r Rule) Keep(made []Made, now time.Duration) (still []Made) {
	for _, m := range made[max(0, len(made)-kept):] {
		if r.fresh(m, now) > 0 || m.Failed && r.fresh(m, now-r.LockedOutFor) > 0 {
			still = append(still, m)
		}
	}
	return still
}
