package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Backend is what the control API controls. Its methods are called
// concurrently; ctx ends when the caller goes away or the server shuts down,
// which must not cancel a refresh that was sent. A method that fails returns
// an error that is, or wraps, an [*Error]; any other error is internal.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	// Health judges that. That nothing can be told is a judgement, too.
	Health(ctx context.Context) Health
	// ConfigDifference reads the configuration's file and says what stands there
	// otherwise than what runs.
	ConfigDifference(ctx context.Context) (ConfigDifference, error)
	// Reload goes on with what stands there, all of it or nothing.
	Reload(ctx context.Context) (ReloadAnswer, error)
	// Adopt makes the store this machine's.
	Adopt(ctx context.Context) (AdoptAnswer, error)
	// Pause keeps us from asking the account's broker for anything by ourselves, until
	// Resume, or for a while. PauseAll and ResumeAll are of every account that is
	// configured; one that comes later is not paused.
	Pause(ctx context.Context, req PauseRequest) (PauseAnswer, error)
	PauseAll(ctx context.Context, req PauseRequest) (PauseAnswers, error)
	Resume(ctx context.Context, account string, by event.Caller) (ResumeAnswer, error)
	ResumeAll(ctx context.Context, by event.Caller) (ResumeAnswers, error)
	// Restart replaces the provider's process and waits for the new one.
	Restart(ctx context.Context, provider string) (RestartAnswer, error)
	// Accounts lists what is configured, and what is stored.
	Accounts(ctx context.Context) (AccountList, error)
	// RenameAccount has the account to go on with what is stored of from, and ForgetAccount
	// removes what is stored of an account; with revoke only once its broker has ended its
	// login. Neither is of one that is configured.
	RenameAccount(ctx context.Context, from, to string) (RenameAnswer, error)
	ForgetAccount(ctx context.Context, account string, revoke bool, by event.Caller) (ForgetAnswer, error)
	// Refresh refreshes the account if it is due, or in any case with force,
	// and waits for the outcome.
	Refresh(ctx context.Context, account string, force bool) (RefreshAnswer, error)
	// TestAccount shows the newest access token to the broker, and waits for what it says.
	TestAccount(ctx context.Context, account string) (AccountTestAnswer, error)
	// RevokePlan says what revoking the account's login would end, and Revoke has the
	// broker end it; agreed is to what a person has agreed.
	RevokePlan(ctx context.Context, account string) (RevokePlan, error)
	Revoke(ctx context.Context, account, agreed string, by event.Caller) (RevokeAnswer, error)
	// Token returns the newest access token, also if it has expired: its
	// Expiry tells.
	Token(ctx context.Context, account string) (TokenAnswer, error)
	// UsableToken returns one that meets req. The account is refreshed for it if need be,
	// as far as pauses and limits allow, once for all who ask.
	UsableToken(ctx context.Context, req TokenRequest) (TokenAnswer, error)
	// Import stores a token file as the account's next version.
	Import(ctx context.Context, req ImportRequest) (ImportAnswer, error)
	// Login returns the login that is open, or begins one of the shape ("": the usual
	// one) by the caller. CancelLogin
	// ends it.
	Login(ctx context.Context, account, shape string, by event.Caller) (LoginAnswer, error)
	CancelLogin(ctx context.Context, account string) (CancelledAnswer, error)
	// CompleteLogin spends the code in redirected, the address that the broker
	// sent the browser to.
	CompleteLogin(ctx context.Context, account, redirected string) (LoggedInAnswer, error)
	// AwaitLogin waits for the end of a login; if ctx ends first, it is still open.
	AwaitLogin(ctx context.Context, account, id string) (AwaitedAnswer, error)
	// ConfirmLogin puts a login of another person in the place of the account's,
	// DiscardLogin forgets it.
	ConfirmLogin(ctx context.Context, account string) (LoggedInAnswer, error)
	DiscardLogin(ctx context.Context, account string) (DiscardedAnswer, error)

	// Sinks returns how every sink does, ordered by name.
	Sinks(ctx context.Context) (Sinks, error)
	// Alerts returns the alerts that last, the oldest first, and then those
	// that are over.
	Alerts(ctx context.Context) (Alerts, error)
	// AcknowledgeAlert keeps an alert from being repeated, SilenceAlert all
	// but its end from being told for so long; ResumeAlert takes both back.
	AcknowledgeAlert(ctx context.Context, key string) (event.Alert, error)
	SilenceAlert(ctx context.Context, key string, during time.Duration) (event.Alert, error)
	ResumeAlert(ctx context.Context, key string) (event.Alert, error)
	// TestSink shows whether a sink works, without giving anybody a token that
	// is not the newest.
	TestSink(ctx context.Context, sink string) (SinkTestAnswer, error)
	// Redeliver has the newest token of the account, of all if it is "",
	// delivered once more, and does not wait for it.
	Redeliver(ctx context.Context, sink, account string, force bool) (RedeliverAnswer, error)
	// DisableSink keeps everything from a sink until it is enabled again, or
	// the next start.
	DisableSink(ctx context.Context, sink string) (Sink, error)
	// EnableSink ends that, and brings the sink what it missed.
	EnableSink(ctx context.Context, sink string) (Sink, error)
	// RestartSink replaces the process of a sink that is a plugin and waits
	// for the new one.
	RestartSink(ctx context.Context, sink string) (SinkRestartAnswer, error)
}

// Codes of an [Error].
const (
	CodeNotFound   = "not_found"
	CodeNoToken    = "no_token" // the account is there and has no token yet
	CodeConflict   = "conflict"
	CodeBadRequest = "bad_request"
	CodeNeedsLogin = "needs_login"
	// CodeNeedsPerson: a program gets no newer token before a person has done something else
	// than log in.
	CodeNeedsPerson = "needs_person"
	// CodeAnotherPerson: the login is stored, and waits to be confirmed.
	CodeAnotherPerson = "another_person"
	// CodeNotYet: nothing is asked of the broker before a moment, which the error tells.
	CodeNotYet = "not_yet"
	// CodePaused: a person has paused the account, and so nothing is asked of its broker.
	CodePaused = "paused"
	// CodeOutcomeUnknown: the broker was asked, and nobody knows what it did.
	CodeOutcomeUnknown = "outcome_unknown"
	// CodeShortLived: no token of the account lives for as long as it should.
	CodeShortLived  = "short_lived"
	CodeForbidden   = "forbidden"
	CodeUnavailable = "unavailable"
	CodeInternal    = "internal"
)

// Errorf makes an [Error] of a code. The message says what happened and what
// to do next.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Status: httpStatus(code), Code: code, Message: fmt.Sprintf(format, args...)}
}

// httpStatus of an error's code.
func httpStatus(code string) int {
	switch code {
	case CodeNotFound, CodeNoToken:
		return http.StatusNotFound
	case CodeConflict, CodeNeedsLogin, CodeNeedsPerson, CodePaused, CodeAnotherPerson, CodeShortLived:
		return http.StatusConflict
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeForbidden:
		return http.StatusForbidden
	case CodeNotYet:
		return http.StatusTooManyRequests
	case CodeOutcomeUnknown:
		return http.StatusBadGateway
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// asError finds the answer to a failed call. The text is that of err as a
// whole, so that what wraps the [Error] is not lost.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Status: httpStatus(e.Code), Code: e.Code, Message: err.Error(), RetryAt: e.RetryAt, InFile: e.InFile, Problems: e.Problems, plain: e.plain}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Errorf(CodeUnavailable, "the call was given up before it was done (%v); what it started goes on: see \"tokenkeeper status\"", err)
	}
	return &Error{Status: http.StatusInternalServerError, Code: CodeInternal, Message: err.Error()}
}
