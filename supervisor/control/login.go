package control

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Candidate is a login of another person than the account's.
type Candidate = refresh.WaitingLogin

// OpenLogin is a login that was begun and is not completed. Meanwhile nothing is
// refreshed of its account that would live without that.
type OpenLogin struct {
	// Shape is what a person does: redirect, paste_address, paste_token, verifier,
	// device or approval.
	Shape   string    `json:"shape,omitempty"`
	BegunAt time.Time `json:"begun_at"`
	// By is who has begun it, as the audit knows him.
	By event.Caller `json:"by"`
	// Until is when it is over by itself.
	Until time.Time `json:"until"`
	// Unpolled is why, and until when, the broker may not be asked whether the person
	// is done; "": it may, or nothing is asked.
	Unpolled string `json:"unpolled,omitempty"`
}

// LoginAnswer is the answer of POST /v1/accounts/{account}/login.
type LoginAnswer struct {
	Account string `json:"account"`
	// ID names the login to login/wait.
	ID string `json:"id"`
	// Address at which a person logs in; "": there is none. Of the shape redirect, the
	// broker then sends the browser to the account's redirect_url, with a code for
	// login/complete.
	Address string `json:"address,omitempty"`
	// UserCode is what he types there, and Instructions what else he does; "": nothing.
	UserCode     string `json:"user_code,omitempty"`
	Instructions string `json:"instructions,omitempty"`
	// Polled: the broker is asked until he is done, which login/wait awaits. Otherwise
	// login/complete takes what he brings back.
	Polled bool `json:"polled,omitempty"`
	// Earlier: this login was begun before, and is the account's only one.
	Earlier bool `json:"earlier,omitempty"`
	OpenLogin
}

// AwaitedAnswer is the answer of POST /v1/accounts/{account}/login/wait. A login that
// has ended without a token is its error, as that of login/complete.
type AwaitedAnswer struct {
	Account string `json:"account"`
	// LoggedIn is what has come of it; not set: it is still open.
	LoggedIn *LoggedInAnswer `json:"logged_in,omitempty"`
	// Unpolled is as in [OpenLogin].
	Unpolled string `json:"unpolled,omitempty"`
}

// CancelledAnswer is the answer of POST /v1/accounts/{account}/login/cancel.
type CancelledAnswer struct {
	Account string `json:"account"`
	OpenLogin
}

// LoggedInAnswer is the answer of POST /v1/accounts/{account}/login/complete and
// of login/confirm. The first fails with [CodeAnotherPerson] if the token is not
// in use but waits.
type LoggedInAnswer struct {
	Account string `json:"account"`
	// Person is as in [Account].
	Person  string `json:"person,omitempty"`
	Version uint64 `json:"version"`
	// Way is as in [Account].
	Way             string    `json:"way,omitempty"`
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
	RefreshExpiry   time.Time `json:"refresh_expires_at,omitzero"`
}

// DiscardedAnswer is the answer of POST /v1/accounts/{account}/login/discard.
type DiscardedAnswer struct {
	Account string `json:"account"`
	// Person whose login is forgotten.
	Person string `json:"person"`
}
