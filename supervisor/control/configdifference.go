package control

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
)

// ConfigDifference is the answer of GET /v1/config/difference. The file is read as the
// supervisor read it at its start: with the environment and the flags that it has, and
// what the file refers to is compared as well. No value is told.
type ConfigDifference struct {
	Now       time.Time `json:"now"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Config    string    `json:"config"`
	// Changed: it says otherwise than what runs, or can't be used.
	Changed bool `json:"changed"`
	// WrittenAt is when that was written; not set: that can't be told.
	WrittenAt time.Time `json:"written_at,omitzero"`
	// Problems keep a start with it from succeeding: nothing else is known of it then.
	Problems []string `json:"problems,omitempty"`
	difference.Difference
	// Obstacles are what is in the way of what has come or changed, as check finds it: a
	// folder or a program that is missing. With it the supervisor goes on all the same,
	// because it may be there in time.
	Obstacles []string `json:"obstacles,omitempty"`
	// Removed accounts are refreshed as long as this supervisor runs. Left is what
	// becomes of their logins without it.
	Left []LeftLogin `json:"left_logins,omitempty"`
	// FixedReferences of what runs, as they are written, are not read again while it does:
	// to variables, and to the service's credentials; and the names of overriding variables
	// that hold a secret.
	FixedReferences []string `json:"fixed_references,omitempty"`
}

// ReloadAnswer is the answer of POST /v1/config/reload: what has changed. The supervisor
// goes on with it. After an error nothing has.
type ReloadAnswer struct {
	PID    int    `json:"pid"`
	Config string `json:"config"`
	difference.Difference
	// Obstacles and FixedReferences are as in [ConfigDifference].
	Obstacles       []string `json:"obstacles,omitempty"`
	FixedReferences []string `json:"fixed_references,omitempty"`
	// Left are as in [Status].
	Left []ListedAccount `json:"left_accounts,omitempty"`
}

// LeftLogin is that of an account that is not in the file any more. Its record stays in
// the store, and nobody refreshes it.
type LeftLogin struct {
	Account  string `json:"account"`
	Provider string `json:"provider"`
	// Way and the times are as in [Account]; Way is "" where there is no token.
	Way                    string    `json:"way,omitempty"`
	Expiry                 time.Time `json:"expires_at,omitzero"`
	RefreshExpiry          time.Time `json:"refresh_expires_at,omitzero"`
	RefreshExpiryUncertain bool      `json:"refresh_expiry_uncertain,omitempty"`
}
