package client

import (
	"errors"
	"time"
)

// What can be wrong. The errors that wrap these say which account and which
// socket, and what to do; none holds a token.
var (
	// ErrNotRunning: nobody listens on the control socket. It passes when the
	// supervisor starts.
	ErrNotRunning = errors.New("no Tokenkeeper supervisor is running")
	// ErrForbidden: only the user who runs the supervisor, root, and readers of the
	// account (control.readers in the configuration) may call it. A consumer that runs
	// as another user is given its tokens by a sink.
	ErrForbidden = errors.New("the control socket is closed to this user")
	// ErrStranger: the socket is served by somebody else than root, this process's user
	// and the owner of its folder, and nothing was asked of him.
	ErrStranger = errors.New("the control socket is served by somebody else")
	// ErrNoAccount: no account of that name is configured.
	ErrNoAccount = errors.New("there is no such account")
	// ErrNoToken: the account is configured and has no token yet: somebody has
	// to log in.
	ErrNoToken = errors.New("the account has no token yet")
	// ErrExpired: the newest token is expired, or lives for less than what was
	// asked for.
	ErrExpired = errors.New("the newest access token has expired")
	// ErrNeedsLogin: only a person brings the account a newer token.
	ErrNeedsLogin = errors.New("the account needs a person")
	// ErrPaused: a person has paused the account, and nothing newer comes before somebody
	// resumes it.
	ErrPaused = errors.New("the account is paused")
	// ErrNotYet: the broker is not asked for a newer token before a moment, which a
	// [NotYet] tells.
	ErrNotYet = errors.New("no newer token can be had yet")
)

// NotYet is an [ErrNotYet] with its moment.
type NotYet struct {
	// Until it is of no use to ask again; zero: nobody knows.
	Until time.Time
	text  string
}

func (e *NotYet) Error() string { return e.text }

func (e *NotYet) Unwrap() error { return ErrNotYet }
