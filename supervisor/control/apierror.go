package control

import "time"

// Error is the body of a failed call.
type Error struct {
	Status int `json:"-"`
	// Code is for programs: not_found, no_token, conflict, bad_request,
	// needs_login, needs_person, not_yet, paused, short_lived, forbidden, unavailable, internal.
	Code string `json:"code"`
	// Message says what happened and what to do next.
	Message string `json:"error"`
	// RetryAt is before when it is of no use to ask again; not set: nobody knows.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// InFile: what was not found stands in the configuration's file by now, and the
	// next start will know it.
	InFile bool `json:"in_file,omitempty"`
	// Problems of the configuration, if it is to blame.
	Problems []Problem `json:"problems,omitempty"`

	plain bool // it says nothing that a reader may not know
}

// Problem is a [config.Problem] for programs.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }
