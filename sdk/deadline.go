package sdk

import (
	"fmt"
	"time"
)

// Deadline is how something dies of its age: at the earliest of what is set. The
// zero value: nobody knows.
type Deadline struct {
	// Lifetime counts from the newest token where Sliding is set, and of an access
	// token always; otherwise from the login.
	Lifetime time.Duration
	// Idle counts from the newest token: what consumers do with it nobody sees.
	Idle time.Duration
	// Clock is a time of the day at which it dies, whenever it was made.
	Clock TimeOfDay
	// Sliding: each refresh starts Lifetime anew.
	Sliding bool
	// Certain: the broker documents it. What is not certain is told as such, and
	// nobody is woken before it comes.
	Certain bool
}

// TimeOfDay is a time of the day in a zone of the IANA's database, such as 00:00 in
// America/New_York, where E*TRADE's tokens die. Without a Zone it is none.
type TimeOfDay struct {
	Hour, Minute int
	Zone         string
}

func (c TimeOfDay) location() (*time.Location, error) { return time.LoadLocation(c.Zone) }

// Fault says why the time can't be used; "": it can, or is none.
func (c TimeOfDay) Fault() string {
	switch _, err := c.location(); {
	case c.Zone == "" && c == TimeOfDay{}:
		return ""
	case c.Zone == "":
		return "a time of the day needs a zone, such as America/New_York"
	case err != nil:
		return fmt.Sprintf("the zone %q is not known here: write one of the IANA's names, or install the system's tzdata", c.Zone)
	case c.Hour < 0 || c.Hour > 23 || c.Minute < 0 || c.Minute > 59:
		return fmt.Sprintf("%d:%d is no time of the day", c.Hour, c.Minute)
	}
	return ""
}

// Next is the first such moment after t. On a day whose clocks leave that time out,
// it comes by the clock that was not put forward. ok is false if c is none or has a
// [TimeOfDay.Fault].
func (c TimeOfDay) Next(t time.Time) (at time.Time, ok bool) {
	if c.Zone == "" || c.Fault() != "" {
		return time.Time{}, false
	}
	zone, err := c.location()
	if err != nil {
		return time.Time{}, false
	}
	y, m, d := t.In(zone).Date()
	for day := d; ; day++ {
		at := time.Date(y, m, day, c.Hour, c.Minute, 0, 0, zone)
		wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
		if wall.Before(time.Date(y, m, day, c.Hour, c.Minute, 0, 0, time.UTC)) { // time.Date went before the gap
			at = at.Add(time.Hour)
		}
		if at.After(t) {
			return at, true
		}
	}
}

// Moments are what the deadlines of an account count from. A zero one is not known.
type Moments struct {
	// Login is when the grant began, Issued when the newest token came.
	Login, Issued time.Time
	// Access and Refresh are the lifetimes that the newest answer named, 0: none.
	// Assumed: Access is none that the broker has named.
	Access, Refresh time.Duration
	Assumed         bool
	// GrantEnd is the end of the grant if an answer has named it.
	GrantEnd time.Time
}

// End is when something dies. A zero At: nobody knows.
type End struct {
	At      time.Time
	Certain bool
}

// Ends are when the parts of an account die.
type Ends struct{ Access, Refresh, Grant End }

// Ends gives all deadlines of an account, and is the one place that does: what an
// answer has named goes before what the policy says, and nothing outlives its grant.
// What counts from a login of which nobody knows when it was has no end that is
// known. It is a pure function, and what it adds up saturates.
func (p Policy) Ends(m Moments) Ends {
	var e Ends
	e.Grant = p.Grant.end(p.Grant.from(m), m, 0, false)
	if known(m.GrantEnd) {
		e.Grant = e.Grant.before(End{m.GrantEnd, true})
	}
	access, refresh := p.Access, p.Refresh
	if access.Lifetime == 0 {
		access.Lifetime = p.AccessLifetime
	}
	if refresh.Lifetime == 0 && p.RefreshLifetime > 0 { // which a provider sets only if the broker documents it
		refresh.Lifetime, refresh.Sliding, refresh.Certain = p.RefreshLifetime, refresh.Sliding || p.Sliding, true
	}
	e.Access = access.end(m.Issued, m, m.Access, !m.Assumed).before(e.Grant)
	e.Refresh = refresh.end(refresh.from(m), m, m.Refresh, true).before(e.Grant)
	return e
}

// Slides says whether a refresh moves the end of the refresh token: it does not if
// that is the end of the grant, or counts from the login, or is a time of the day.
func (p Policy) Slides(m Moments) bool {
	later := m
	later.Issued = plus(m.Issued, time.Second)
	if m.Refresh > 0 && !p.Sliding && !p.Refresh.Sliding { // the answer counts down
		later.Refresh -= time.Second
	}
	before := p.Ends(m).Refresh.At
	if before.IsZero() {
		return p.Sliding || p.Refresh.Sliding
	}
	return p.Ends(later).Refresh.At.After(before)
}

// CountsFromLogin says whether the end of a login counts from when it was made, so that
// somebody has to know that.
func (p Policy) CountsFromLogin() bool {
	at := time.Unix(1<<30, 0)
	unknown, known := p.Ends(Moments{Issued: at}), p.Ends(Moments{Login: at, Issued: at})
	return !unknown.Refresh.At.Equal(known.Refresh.At) || !unknown.Grant.At.Equal(known.Grant.At)
}

// from is what a lifetime counts from.
func (d Deadline) from(m Moments) time.Time {
	if d.Sliding {
		return m.Issued
	}
	return m.Login
}

// end is the earliest of what is set, counted from a moment. said is the lifetime
// that the newest answer named, 0: none; it counts from that answer.
func (d Deadline) end(from time.Time, m Moments, said time.Duration, sure bool) End {
	var e End
	switch {
	case said != 0 && !m.Issued.IsZero():
		e = End{plus(m.Issued, said), sure}
	case d.Lifetime > 0 && !from.IsZero():
		e = End{plus(from, d.Lifetime), d.Certain}
	}
	if d.Idle > 0 && !m.Issued.IsZero() {
		e = e.before(End{plus(m.Issued, d.Idle), d.Certain})
	}
	if from.IsZero() { // it lived then
		from = m.Issued
	}
	if known(from) {
		if at, ok := d.Clock.Next(from); ok && known(at) {
			e = e.before(End{at, d.Certain})
		}
	}
	return e
}

// The range in which a moment can lie that matters to a token.
var earliest, latest = time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func known(t time.Time) bool { return t.After(earliest) && t.Before(latest) }

// plus is t plus d, not beyond the ends of the range; not known if t is not in it.
func plus(t time.Time, d time.Duration) time.Time {
	if !known(t) {
		return time.Time{}
	}
	switch sum := t.Add(d); {
	case !sum.Before(latest):
		return latest.Add(-1).In(t.Location())
	case !sum.After(earliest):
		return earliest.Add(1).In(t.Location())
	default:
		return sum
	}
}

// before is the earlier of two ends, as far as they are known.
func (e End) before(other End) End {
	if e.At.IsZero() || !other.At.IsZero() && other.At.Before(e.At) {
		return other
	}
	return e
}
