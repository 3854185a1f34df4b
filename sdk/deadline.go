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
	// Idle counts from the last use.
	Idle time.Duration
	// Clock is a time of the day at which it dies, whenever it was made.
	Clock TimeOfDay
	// Sliding: each refresh starts Lifetime anew.
	Sliding bool
	// Certain: the broker documents it. What is not certain is told as such, and
	// wakes nobody by itself.
	Certain bool
}

// TimeOfDay is a time of the day in a zone of the IANA's database, such as 00:00 in
// America/New_York, where E*TRADE's tokens die. Without a Zone it is none.
type TimeOfDay struct {
	Hour, Minute int
	Zone         string
}

// Fault says why the time can't be used; "": it can, or is none.
func (c TimeOfDay) Fault() string {
	switch _, err := time.LoadLocation(c.Zone); {
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
	zone, err := time.LoadLocation(c.Zone)
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
	// Login is when the grant began, Issued when the newest token came, Used when
	// the broker was last asked for something with it; zero: not since Issued.
	Login, Issued, Used time.Time
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

// Ends gives all deadlines of an account: what an answer has named goes before what
// the policy says, and nothing outlives its grant. It is a pure function.
func (p Policy) Ends(m Moments) Ends {
	if m.Used.IsZero() {
		m.Used = m.Issued
	}
	var e Ends
	e.Grant = p.Grant.end(m.Login, m, 0, false)
	if !m.GrantEnd.IsZero() {
		e.Grant = e.Grant.before(End{m.GrantEnd, true})
	}
	access, refresh := p.Access, p.Refresh
	if access.Lifetime == 0 {
		access.Lifetime = p.AccessLifetime
	}
	if refresh.Lifetime == 0 {
		refresh.Lifetime, refresh.Sliding = p.RefreshLifetime, refresh.Sliding || p.Sliding
	}
	from := m.Login
	if refresh.Sliding || from.IsZero() {
		from = m.Issued
	}
	e.Access = access.end(m.Issued, m, m.Access, !m.Assumed).before(e.Grant)
	e.Refresh = refresh.end(from, m, m.Refresh, true).before(e.Grant)
	return e
}

// end is the earliest of what is set, counted from a moment. said is the lifetime
// that the newest answer named, 0: none; it counts from that answer.
func (d Deadline) end(from time.Time, m Moments, said time.Duration, sure bool) End {
	var e End
	switch {
	case said != 0 && !m.Issued.IsZero():
		e = End{m.Issued.Add(said), sure}
	case d.Lifetime > 0 && !from.IsZero():
		e = End{from.Add(d.Lifetime), d.Certain}
	}
	if d.Idle > 0 && !m.Used.IsZero() {
		e = e.before(End{m.Used.Add(d.Idle), d.Certain})
	}
	if at, ok := d.Clock.Next(from); ok && !from.IsZero() {
		e = e.before(End{at, d.Certain})
	}
	return e
}

// before is the earlier of two ends, as far as they are known.
func (e End) before(other End) End {
	if e.At.IsZero() || !other.At.IsZero() && other.At.Before(e.At) {
		return other
	}
	return e
}
