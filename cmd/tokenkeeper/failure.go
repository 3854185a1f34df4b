package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// failure is why a command failed, as programs get it.
type failure struct {
	// Code is one of the control API's, or not_running, usage or failed.
	Code     string `json:"code"`
	Message  string `json:"message"`
	ExitCode int    `json:"exit_code,omitempty"`
	// RetryAt is before when it is of no use to try again; not set: nobody knows.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// InFile is as in [control.Error].
	InFile bool `json:"in_file,omitempty"`
	// Problems of the configuration, if it is to blame.
	Problems []finding `json:"problems,omitempty"`
}

func newFailure(exit int, err error) failure {
	f := failure{Code: "failed", Message: err.Error(), ExitCode: exit}
	refused := (*control.Error)(nil)
	switch {
	case errors.As(err, &refused) && refused.Code != "":
		f.Code, f.RetryAt, f.InFile = refused.Code, refused.RetryAt.UTC(), refused.InFile
		for _, p := range refused.Problems {
			f.Problems = append(f.Problems, finding(p))
		}
	case errors.Is(err, control.ErrNotRunning):
		f.Code = "not_running"
	case exit == exitUsage, exit == exitConfig:
		f.Code = "usage"
	}
	if problems := (config.Problems)(nil); errors.As(err, &problems) {
		for _, p := range problems {
			f.Problems = append(f.Problems, finding(p))
		}
	}
	return f
}

// fail says on stderr why the command failed; with --json as one line of JSON.
func (e *streams) fail(exit int, err error) {
	if e.json {
		e.tell(struct {
			Error failure `json:"error"`
		}{newFailure(exit, err)})
		return
	}
	_ = prose(asPriority(e.stderr, priorityError), "tokenkeeper: %v", err)
}

// warn says on stderr what should be put right, in the same way.
func (e *streams) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if e.json {
		e.tell(struct {
			Warning string `json:"warning"`
		}{text})
		return
	}
	_ = prose(asPriority(e.stderr, priorityWarning), "tokenkeeper: warning: %s", text)
}

func (e *streams) tell(v any) {
	enc := json.NewEncoder(e.stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// asksForJSON finds --json in a command line that can't be read as a whole.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}
