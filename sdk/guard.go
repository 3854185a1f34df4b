package sdk

import (
	"context"
	"errors"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// This file gives what a provider returns of an attempt, or dies of in it, a kind.

// guard turns a provider's panic into an error. Only the type of the panic's
// value is told: the value itself may hold a token.
func (s *Server) guard(ctx context.Context, slot *spool.Slot, call func(context.Context) (Token, error)) (t Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = endUnknown(slot, Error{Message: s.panicked(v)})
		}
	}()
	t, err = call(ctx)
	return t, judged(slot, err)
}

// judged gives an error of the provider's that has no kind one: it tells nothing of
// whether the request came to the broker, as where a client gave up waiting, and to send
// the token again at once might be its second use.
func judged(slot *spool.Slot, err error) error {
	var known *Error
	if err == nil || errors.Is(err, ErrUnimplemented) || errors.As(err, &known) && known.Kind != "" {
		return err
	}
	e := Error{Message: err.Error()}
	if known != nil {
		e.HTTPStatus, e.RetryAfter, e.OAuthError = known.HTTPStatus, known.RetryAfter, known.OAuthError
	}
	if e.HTTPStatus >= 300 { // an answer came, and it was no success
		e.Kind = KindTransient
		return &e
	}
	return endUnknown(slot, e)
}

// endUnknown gives e the kind that follows from the slot alone. A success that the
// provider did not come to return may hold the next token.
func endUnknown(slot *spool.Slot, e Error) error {
	e.Kind = KindAmbiguous
	if answer, ok := slot.Answer(); ok {
		e.Unread = mayBeSuccess(answer)
	} else if slot.Progress() == spool.Ready {
		e.Kind = KindNotSent
	}
	return &e
}
