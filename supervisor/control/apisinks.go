package control

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// This file holds what the API says of sinks.

// Sinks is the answer of GET /v1/sinks.
type Sinks struct {
	Now   time.Time `json:"now"`
	Sinks []Sink    `json:"sinks"`
	// Observing: none is opened, whatever the configuration has.
	Observing bool `json:"observing,omitempty"`
}

// Sink is how one sink does as a whole. [Delivery] tells of single accounts.
type Sink struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Accounts whose tokens go there; empty if no tokens do.
	Accounts []string `json:"accounts"`
	sink.Summary
	// Disabled is nil while the sink is enabled.
	Disabled *Disabled `json:"disabled,omitempty"`
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

// SinkProcess is the process of a sink that is a plugin.
type SinkProcess = process.Status

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
