package sdk

import (
	"errors"
	"time"
)

// Kind sorts failures by what the supervisor does about them.
type Kind string

const (
	// KindTransient: the broker has not taken the refresh token, try again later. It is
	// what an error without a kind is, but of an attempt and of [Revoker.Revoke].
	KindTransient Kind = "transient"
	// KindInvalidGrant: the server said, in a parsed OAuth error, that the
	// refresh token (or the code) is dead.
	KindInvalidGrant Kind = "invalid_grant"
	// KindInvalidClient: the client credentials or the settings are wrong. It
	// heals when the configuration changes.
	KindInvalidClient Kind = "invalid_client"
	// KindRateLimited: try again after RetryAfter.
	KindRateLimited Kind = "rate_limited"
	// KindAmbiguous: the request was sent and no whole answer came, so that
	// nobody knows whether the refresh token is spent.
	KindAmbiguous Kind = "ambiguous"
	// KindNotSent: the request provably never left, so that the refresh token
	// may be used again freely.
	KindNotSent Kind = "not_sent"
	// KindPending: the person has not approved a login yet (RFC 8628, section 3.5:
	// authorization_pending). Of [LoginGuide.EndLogin] alone. With a RetryAfter the
	// server wants it in the place of [Login.PollEvery] from now on (slow_down).
	KindPending Kind = "pending"
)

// Errors for providers that need no detail; match with [errors.Is]. Each
// stands for the [Kind] of the same name.
var (
	ErrInvalidGrant  error = &Error{Kind: KindInvalidGrant, Message: "the authorization server refused the grant"}
	ErrInvalidClient error = &Error{Kind: KindInvalidClient, Message: "the authorization server refused the client"}
	ErrAmbiguous     error = &Error{Kind: KindAmbiguous, Message: "the request was sent but no answer came"}
	ErrNotSent       error = &Error{Kind: KindNotSent, Message: "the request was not sent"}
)

// ErrUnimplemented is what an optional call returns where the plugin does not
// implement its interface.
var ErrUnimplemented = errors.New("the plugin does not implement this call")

// ErrConnection: the call's connection to the plugin's process failed, so that
// a provider's outcome is known only to its spool, and a sink's to nobody.
var ErrConnection = errors.New("the connection to the plugin's process failed")

// Error is a failed call to a broker. Its text goes to logs and people and
// must hold no secret and nothing of the answer's body beyond the OAuth error
// code.
type Error struct {
	Kind    Kind
	Message string
	// RetryAfter is how long the server asked to be left alone; 0: not said.
	RetryAfter time.Duration
	// HTTPStatus of the answer; 0: none came.
	HTTPStatus int
	// Unread: an answer came that may hold a token, and nobody could read it.
	// It stands in the attempt's slot (package spool), is put aside for a
	// person, and the refresh token is not spent again meanwhile.
	Unread bool
	// OAuthError is the error code of RFC 6749, section 5.2, if one was
	// parsed.
	OAuthError string
}

func (e *Error) Error() string { return e.Message }

// Is matches another *Error of the same kind, so that
// errors.Is(err, ErrInvalidGrant) holds for every invalid_grant.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind
}

// KindOf returns the kind of err: that of the first [Error] in its chain, and
// KindTransient for everything else. An attempt's errors, and those of [Revoker.Revoke],
// all have one when they come from [Serve].
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) && e.Kind != "" {
		return e.Kind
	}
	return KindTransient
}
