package control

import "time"

// This file holds what the API says of sinks.

// Sinks is the answer of GET /v1/sinks.
type Sinks struct {
	Now   time.Time `json:"now"`
	Sinks []Sink    `json:"sinks"`
}

// Sink is how one sink does as a whole. [Delivery] tells of single accounts.
type Sink struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Events are the kinds of what is sent there: token, alert, lifecycle.
	Events []string `json:"events"`
	// Accounts whose tokens go there; empty if no tokens do.
	Accounts []string `json:"accounts"`

	// UpToDate and Behind count the accounts that have a token: those of which
	// the sink has the newest, and those of which it lacks it. Lag is for how
	// long it has lacked what it has lacked longest; with LagAtLeast it is longer
	// than that: a restart lies between, and what is known is for how long it has
	// lacked the newest.
	UpToDate   int           `json:"up_to_date"`
	Behind     int           `json:"behind"`
	Lag        time.Duration `json:"lag_ns"`
	LagAtLeast bool          `json:"lag_at_least,omitempty"`
	// Failing are the accounts and alerts whose newest state it failed to
	// take. LastError may be over.
	Failing     int       `json:"failing"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Next is when the first of those that failed is tried again.
	Next time.Time `json:"next,omitzero"`
	// Absent: the consumer is not running, and AbsentBecause how that shows.
	Absent        bool   `json:"absent,omitempty"`
	AbsentBecause string `json:"absent_because,omitempty"`
	// Disabled is nil while the sink is enabled.
	Disabled *Disabled `json:"disabled,omitempty"`

	// LastDelivery is the newest one that it took, and Latency how long after
	// it became durable.
	LastDelivery time.Time     `json:"last_delivery,omitzero"`
	Latency      time.Duration `json:"latency_ns,omitempty"`
	// Deliveries that it took, and Failures, which are tries that failed, since
	// this supervisor's start.
	Deliveries uint64 `json:"deliveries"`
	Failures   uint64 `json:"failures"`
	// OpenNotices are the alerts and events that it has still to be told, and
	// Dropped the events that were given up since this supervisor's start.
	OpenNotices int    `json:"open_notices"`
	Dropped     uint64 `json:"dropped"`

	// Process of a sink that is a plugin; nil for one that is built in.
	Process *SinkProcess `json:"process,omitempty"`
}

// ByPerson is who disables a sink through the API.
const ByPerson = "a person"

// Disabled says who disabled a sink, and when.
type Disabled struct {
	By    string    `json:"by"`
	Since time.Time `json:"since,omitzero"`
}

// SinkProcess is the process of a sink that is a plugin. Its states are those
// of a [Provider].
type SinkProcess struct {
	State      string    `json:"state"`
	PID        int       `json:"pid,omitempty"`
	Generation int       `json:"generation"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	Restarts   int       `json:"restarts"`
	Crashes    int       `json:"crashes"`
	LastError  string    `json:"last_error,omitempty"`
	NextStart  time.Time `json:"next_start,omitzero"`
	Version    string    `json:"version,omitempty"`
	Command    string    `json:"command,omitempty"`
	InFlight   int       `json:"in_flight"`
}

// SinkTestAnswer is the answer of POST /v1/sinks/{sink}/test. A sink that does
// not work is an [Error] with the code unavailable.
type SinkTestAnswer struct {
	Sink string `json:"sink"`
	// Done says in a few words what was tried, and worked.
	Done string `json:"done"`
}

// RedeliverAnswer is the answer of POST /v1/sinks/{sink}/redeliver.
type RedeliverAnswer struct {
	Sink string `json:"sink"`
	// Account that was asked for; "": all.
	Account string `json:"account,omitempty"`
	// Deliveries that will be made; the call does not wait for them.
	Deliveries int `json:"deliveries"`
}

// SinkRestartAnswer is the answer of POST /v1/sinks/{sink}/restart.
type SinkRestartAnswer struct {
	Sink       string `json:"sink"`
	OldPID     int    `json:"old_pid"`
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`
}
