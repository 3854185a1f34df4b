package control

import (
	"errors"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// RefreshError gives an error of the refresh cycle its code.
func RefreshError(err error) error {
	if said, ok := errors.AsType[*Error](err); ok {
		return said
	}
	code := CodeUnavailable
	if late, ok := errors.AsType[*refresh.NotYet](err); ok {
		e := Errorf(CodeNotYet, "%v", err)
		e.RetryAt = late.Until
		return e
	}
	if paused, ok := errors.AsType[*refresh.IsPaused](err); ok {
		e := Errorf(CodePaused, "%v", err)
		e.RetryAt = paused.Pause.Until
		return e
	}
	switch {
	case errors.Is(err, refresh.ErrRevokeUnknown):
		return Errorf(CodeOutcomeUnknown, "%v", err)
	case errors.Is(err, sdk.ErrConnection):
		return Errorf(code, "%v; the provider's process is started again by itself, and what was under way is settled then: "+
			"\"tokenkeeper status\" shows the outcome", err)
	case errors.Is(err, refresh.ErrUnknownAccount):
		code = CodeNotFound
	case errors.Is(err, refresh.ErrNoToken):
		code = CodeNoToken
	case errors.Is(err, refresh.ErrNeedsLogin):
		code = CodeNeedsLogin
	case errors.Is(err, refresh.ErrAnotherPerson):
		code = CodeAnotherPerson
	case errors.Is(err, refresh.ErrLoginTime), errors.Is(err, login.ErrNotThis), errors.Is(err, login.ErrNoShape), errors.Is(err, login.ErrNothingToHandIn), errors.Is(err, sdk.ErrInvalidGrant), errors.Is(err, sdk.ErrUnimplemented):
		code = CodeBadRequest
	case errors.Is(err, login.ErrOpen), errors.Is(err, login.ErrNotOpen), errors.Is(err, login.ErrSpent), errors.Is(err, refresh.ErrNoCandidate), errors.Is(err, refresh.ErrCandidateOver), errors.Is(err, refresh.ErrHasToken), errors.Is(err, refresh.ErrWithheld), errors.Is(err, refresh.ErrUntrusted), errors.Is(err, refresh.ErrNotLooked), errors.Is(err, refresh.ErrExpired),
		errors.Is(err, refresh.ErrNotNewer), errors.Is(err, refresh.ErrUnsettled), errors.Is(err, refresh.ErrLimit), errors.Is(err, refresh.ErrNotThere), errors.Is(err, refresh.ErrOtherAccount), errors.Is(err, refresh.ErrGrantedElsewhere):
		code = CodeConflict
	}
	return Errorf(code, "%v", err)
}
