package sink

import (
	"slices"
	"time"
)

// Status is how an account's deliveries to one sink go.
type Status struct {
	// Version that the sink is known to have, since when, and how long after
	// it became durable it was delivered; zero: none.
	Version     uint64        `json:"version"`
	DeliveredAt time.Time     `json:"delivered_at,omitzero"`
	Latency     time.Duration `json:"latency_ns,omitempty"`
	// Expiry of that version's access token; not set: nobody knows.
	Expiry time.Time `json:"expires_at,omitzero"`
	// Failures in a row, whatever the version; 0 as long as the one in hand has not
	// failed. The last error, and when it is tried again; zero: not before there is a
	// newer version.
	Failures  int       `json:"failures,omitempty"`
	LastError string    `json:"last_error,omitempty"`
	Next      time.Time `json:"-"`
	// Absent: the consumer is not running.
	Absent bool `json:"absent,omitempty"`
	// Disabled: the receiver said that it is gone for good, or a person
	// disabled the sink.
	Disabled bool `json:"disabled,omitempty"`
}

// Summary is how one sink does as a whole.
type Summary struct {
	// Kinds of what is sent there.
	Kinds []Kind `json:"events"`
	// Accounts whose tokens go there and have a token: those of which it has
	// the newest, and those of which it lacks it.
	Accounts int `json:"-"`
	UpToDate int `json:"up_to_date"`
	Behind   int `json:"behind"`
	// Lag is for how long the sink has lacked what it has lacked longest, or
	// has taken no lifecycle event that it was told; 0: it has everything.
	Lag time.Duration `json:"lag_ns"`
	// LagAtLeast: it is longer than Lag, and nobody knows by how much, because a
	// restart lies between.
	LagAtLeast bool `json:"lag_at_least,omitempty"`
	// Failing are the accounts and alerts whose newest version it failed to
	// take, one more if it failed to take the last lifecycle event, and one more if no
	// consumer can connect; Refused
	// are those of them whose newest version it refused for good: only the next
	// one is tried.
	Failing int `json:"failing"`
	Refused int `json:"-"`
	// InRow is how often in a row that failed which failed most often, and MaxFailures
	// from which on it is an alert.
	InRow       int `json:"-"`
	MaxFailures int `json:"-"`
	// Shut is why no consumer can connect, if that was tried MaxFailures times in a row
	// since ShutSince; "": they can, or need not.
	Shut      string    `json:"-"`
	ShutSince time.Time `json:"-"`
	// Hung are those of the failing ones whose delivery should have ended, and can't
	// be cut off: nothing of them is tried before it ends.
	Hung int `json:"-"`
	// Unknown are the accounts of which the destination holds a refresh token
	// that nobody here knows, so that nothing is written over it, in order;
	// UnknownError says it of the first. They are among Failing.
	Unknown      []string `json:"-"`
	UnknownError string   `json:"-"`
	// LastError is the last failure of all, which may be over; "" if nothing has
	// failed since the start, nor still fails since before.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Next is when the first of those that failed is tried again; zero: no
	// try is planned.
	Next time.Time `json:"next,omitzero"`
	// Absent: the consumer is not running, and AbsentBecause how that shows.
	Absent        bool   `json:"absent,omitempty"`
	AbsentBecause string `json:"absent_because,omitempty"`
	// DisabledBy says who disabled the sink at DisabledAt; "": it is enabled.
	// Gone: its receiver did, by saying that it wants nothing more.
	Disabled   bool      `json:"-"`
	Gone       bool      `json:"-"`
	DisabledBy string    `json:"-"`
	DisabledAt time.Time `json:"-"`
	// LastDelivery is the newest one that the sink took, and Latency the time
	// from durable to delivered of that one. They survive a restart.
	LastDelivery time.Time     `json:"last_delivery,omitzero"`
	Latency      time.Duration `json:"latency_ns,omitempty"`
	// Deliveries that the sink took, and tries that failed, since this
	// supervisor's start.
	Deliveries uint64 `json:"deliveries"`
	Failures   uint64 `json:"failures"`
	// OpenNotices are the alerts whose newest state it has not been told, and
	// the lifecycle events that wait.
	OpenNotices int `json:"open_notices"`
	// DroppedEvents are the lifecycle events that were given up, since this
	// supervisor's start.
	DroppedEvents uint64 `json:"dropped"`
}

// status is how one account's deliveries go.
func (s *state) status(account string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{KindToken, account}
	st := Status{Disabled: s.disabled.is()}
	e := s.entries[k]
	if e == nil {
		d := s.receipts[KindToken][account].delivery(s.Name, account)
		st.Version, st.DeliveredAt, st.Latency, st.Expiry = d.Version, d.At, d.Latency, d.Expiry
		return st
	}
	st.Absent = s.absence.waits(k)
	st.Version, st.DeliveredAt, st.Latency, st.Expiry = e.delivered.Version, e.delivered.At, e.delivered.Latency, e.delivered.Expiry
	st.Failures, st.LastError, st.Next = s.failuresOf(e), e.lastError, e.due
	if _, hangs := s.hanging()[k]; hangs {
		st.Failures, st.LastError = max(1, st.Failures), hung(k)
	}
	if e.unknown || e.lost { // whatever we brought there, it is there no more
		st.Version, st.Expiry = 0, time.Time{}
	}
	return st
}

// summary is how the sink does as a whole.
func (s *state) summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.totals
	sum := Summary{
		Kinds: slices.Clone(s.Kinds), Absent: s.absence.is(), Accounts: s.accounts,
		Disabled: s.disabled.is(), Gone: s.disabled.by == byReceiver,
		DisabledBy: s.disabled.by, DisabledAt: s.disabled.at,
		LastDelivery: t.lastDelivery, Latency: t.latency, Deliveries: t.deliveries,
		Failures: t.failures, LastError: t.lastError, LastErrorAt: t.lastErrorAt, MaxFailures: s.Policy.Attempts,
	}
	if sum.Absent {
		sum.AbsentBecause = s.absence.why
	}
	if d := s.door; d.failures >= s.Policy.Attempts {
		sum.Failing++
		sum.Shut, sum.ShutSince = d.why, d.since
		if !d.at.Before(sum.LastErrorAt) {
			sum.LastError, sum.LastErrorAt = d.why, d.at
		}
	}
	var since time.Time // of what it has lacked longest
	var hanging map[key]time.Duration
	if len(s.open) > 0 {
		hanging = s.hanging()
	}
	for e := range s.open {
		failures := s.failuresOf(e)
		if late, hangs := hanging[e.key]; hangs {
			failures = max(1, failures)
			sum.Hung++
			if at := s.Wall().Add(-late).Round(time.Second); !at.Before(sum.LastErrorAt) {
				sum.LastError, sum.LastErrorAt = hung(e.key), at
			}
		}
		sum.add(e, failures)
		if at := e.delivered.TriedAt; t.lastError == "" && failures > 0 && !at.Before(sum.LastErrorAt) {
			sum.LastError, sum.LastErrorAt = e.lastError, at // of an earlier run
		}
		if e.behind() && !e.dead {
			since = earlier(since, e.since)
			sum.LagAtLeast = sum.LagAtLeast || e.atLeast
		}
	}
	slices.Sort(sum.Unknown)
	if len(sum.Unknown) > 0 {
		sum.UnknownError = s.entries[key{KindToken, sum.Unknown[0]}].lastError
	}
	sum.UpToDate = sum.Accounts - sum.Behind
	if s.events != nil {
		waiting, dropped, failures, failing := s.events.count()
		sum.OpenNotices += waiting
		sum.DroppedEvents = dropped
		if failures > 0 {
			sum.Failing++
			sum.InRow = max(sum.InRow, failures)
			since = earlier(since, failing)
		}
	}
	if !since.IsZero() {
		sum.Lag = max(0, s.Wall().Sub(since))
	}
	return sum
}

// slack is how long after the end of its context a sink may take to return.
const slack = 10 * time.Second

// hanging are the keys whose delivery should have ended and has not, and for how
// long it should have.
func (s *state) hanging() map[key]time.Duration {
	limit := s.Policy.Timeout + slack
	late := s.queue.InHandFor(limit)
	for k := range late {
		late[k] -= limit
	}
	return late
}

func hung(k key) string {
	return "it does not answer: a delivery of " + k.String() + " has not ended, and can't be cut off"
}

// add counts an entry that has failed so often.
func (s *Summary) add(e *entry, failures int) {
	switch {
	case !e.behind():
	case e.isToken():
		s.Behind++
	default:
		s.OpenNotices++
	}
	if failures > 0 {
		s.Failing++
		if e.refused {
			s.Refused++
		}
		if e.unknown {
			s.Unknown = append(s.Unknown, e.name)
		} else {
			s.InRow = max(s.InRow, failures)
		}
	}
	if !e.due.IsZero() {
		s.Next = earlier(s.Next, e.due)
	}
}

// earlier is the earlier one of two times, of which a may be unset.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
