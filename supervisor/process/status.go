package process

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// State of a plugin, in the words of the control API.
type State string

const (
	Starting State = "starting" // the process is not serving yet
	Running  State = "running"
	Backoff  State = "backoff"  // it died and is started again soon
	Crashing State = "crashing" // it dies again and again
	Parked   State = "parked"   // it can't run until someone changes something
	Stopping State = "stopping" // what is in flight finishes
	Stopped  State = "stopped"
)

// Status is what a member does now.
type Status struct {
	Name  string `json:"-"`
	State State  `json:"state"`
	// PID of the process; 0: none runs.
	PID int `json:"pid,omitempty"`
	// Generation counts the runs of this plugin's process, from 1.
	Generation int `json:"generation"`
	// StartedAt is when this generation began to serve.
	StartedAt time.Time `json:"started_at,omitzero"`
	// Restarts that a person asked for, and Crashes that nobody did.
	Restarts int `json:"restarts"`
	Crashes  int `json:"crashes"`
	// LastError is why the last generation ended that ended by itself.
	LastError string `json:"last_error,omitempty"`
	// NextStart is when a plugin in backoff is started again.
	NextStart time.Time `json:"next_start,omitzero"`
	// Version of the plugin, as it said itself.
	Version  string `json:"version,omitempty"`
	Command  string `json:"command,omitempty"`
	InFlight int    `json:"in_flight"`
	// OldProgram is what [Member.OldProgram] says, where somebody has asked for it: it
	// looks at the disk.
	OldProgram string `json:"old_program,omitempty"`
	// Description of a provider, and Sink of a sink, are the newest ones;
	// their names are empty before the first.
	Description sdk.Description     `json:"-"`
	Sink        sdk.SinkDescription `json:"-"`
}
