package sink

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Status is how an account's deliveries to one sink go.
type Status struct {
	// Version that the sink is known to have, since when, and how long after
	// it became durable it was delivered; zero: none.
	Version     uint64        `json:"version"`
	DeliveredAt time.Time     `json:"delivered_at,omitzero"`
	Latency     time.Duration `json:"latency_ns,omitempty"`
	// Failures in a row of the version in hand, the last error, and when it
	// is tried again; zero: not before there is a newer version.
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
	// take, and one more if it failed to take the last lifecycle event; Refused
	// are those of them whose newest version it refused for good: only the next
	// one is tried.
	Failing int `json:"failing"`
	Refused int `json:"-"`
	// Unknown are the accounts of which the destination holds a refresh token
	// that nobody here knows, so that nothing is written over it, in order;
	// UnknownError says it of the first. They are among Failing.
	Unknown      []string `json:"-"`
	UnknownError string   `json:"-"`
	// LastError is the last failure of all, which may be over; ""
	// if nothing has failed since the start.
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

// standing lets a summary look at what is open alone, and not at a hundred
// thousand accounts of which the sink has everything.
type standing struct {
	// accounts that have a lane, or rest.
	accounts int
	// open has every lane of which there is more to say than that the sink has
	// the newest.
	open map[*lane]struct{}
}

func (s *standing) count(ln *line, n int) {
	if ln.kind == KindToken {
		s.accounts += n
	}
}

// note must be called whenever a lane fell behind, or a try of it has ended.
func (s *standing) note(l *lane) {
	if !l.behind() && l.failures == 0 && l.due.IsZero() {
		delete(s.open, l)
		return
	}
	if s.open == nil {
		s.open = map[*lane]struct{}{}
	}
	s.open[l] = struct{}{}
}

// totals are of all lanes together.
type totals struct {
	deliveries, failures uint64
	lastDelivery         time.Time
	latency              time.Duration
	lastError            string
	lastErrorAt          time.Time
}

// resume takes up what an earlier run has delivered.
func (t *totals) resume(d store.Delivery) {
	if d.Version > 0 && d.At.After(t.lastDelivery) {
		t.lastDelivery, t.latency = d.At, d.Latency
	}
}

func (t *totals) succeeded(at time.Time, latency time.Duration) {
	t.deliveries++
	t.lastDelivery, t.latency = at, latency
}

func (t *totals) failed(at time.Time, err string) {
	t.failures++
	t.lastError, t.lastErrorAt = err, at
}

// Status of one account's deliveries; the zero Status for an account that the
// worker has not seen.
func (w *Worker) Status(account string) Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := Status{Disabled: w.disabled.is()}
	l := w.lanes[account]
	if l == nil {
		if w.tokens != nil {
			d := w.tokens.resting[account].delivery(w.cfg.Name, account)
			st.Version, st.DeliveredAt, st.Latency = d.Version, d.At, d.Latency
		}
		return st
	}
	_, waits := w.absence.waiting[l]
	st.Absent = waits || w.absence.probe == l
	st.Version, st.DeliveredAt, st.Latency = l.delivered.Version, l.delivered.At, l.delivered.Latency
	st.Failures, st.LastError, st.Next = l.failures, l.lastError, l.due
	if l.unknown { // whatever we brought there, it is there no more
		st.Version = 0
	}
	return st
}

// Summary of the sink at this moment.
func (w *Worker) Summary() Summary {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.totals
	s := Summary{
		Kinds: slices.Clone(w.cfg.Kinds), Absent: !w.absence.present(),
		Disabled: w.disabled.is(), Gone: w.disabled.by == byReceiver,
		DisabledBy: w.disabled.by, DisabledAt: w.disabled.at,
		LastDelivery: t.lastDelivery, Latency: t.latency, Deliveries: t.deliveries,
		Failures: t.failures, LastError: t.lastError, LastErrorAt: t.lastErrorAt,
	}
	if s.Absent {
		s.AbsentBecause = w.absence.why
	}
	var since time.Time // of what it has lacked longest
	lacking := func(t time.Time) {
		if !t.IsZero() && (since.IsZero() || t.Before(since)) {
			since = t
		}
	}
	for l := range w.standing.open {
		s.add(l)
		lacking(l.since)
		s.LagAtLeast = s.LagAtLeast || l.behind() && l.atLeast
	}
	slices.Sort(s.Unknown)
	if len(s.Unknown) > 0 {
		s.UnknownError = w.lanes[s.Unknown[0]].lastError
	}
	s.Accounts = w.standing.accounts
	s.UpToDate = s.Accounts - s.Behind
	if w.lifecycle != nil {
		waiting, dropped, failing := w.lifecycle.count()
		s.OpenNotices += waiting
		s.DroppedEvents = dropped
		if !failing.IsZero() {
			s.Failing++
			lacking(failing)
		}
	}
	if !since.IsZero() {
		s.Lag = max(0, w.cfg.Wall().Sub(since))
	}
	return s
}

func (s *Summary) add(l *lane) {
	switch {
	case !l.behind():
	case l.line.kind == KindToken:
		s.Behind++
	default:
		s.OpenNotices++
	}
	if l.failures > 0 {
		s.Failing++
		if l.refused {
			s.Refused++
		}
		if l.unknown {
			s.Unknown = append(s.Unknown, l.key)
		}
	}
	if !l.due.IsZero() && (s.Next.IsZero() || l.due.Before(s.Next)) {
		s.Next = l.due
	}
}
