// Package sink brings every account's newest token to the places that the
// configuration names, and remembers who has which.
package sink

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Sink is one destination. The delivery worker owns all retrying; a Sink makes
// one try per call. It must be safe for concurrent calls about different
// accounts, must return soon after ctx ends, and must hold no token between
// calls.
//
// Deliver returns nil only when the destination has the token. Otherwise the
// worker sorts the error: [ErrAbsent], [ErrGone], [ErrRefused] and [RetryAfterError]
// have their meaning, everything else is tried again. An error's text goes to
// logs and people: it must hold no secret.
type Sink interface {
	Deliver(ctx context.Context, d Delivery) error
}

// Waiter is for sinks that can tell cheaply when an absent consumer may have
// come, so that nobody has to keep asking. Await blocks until that moment and
// then returns nil; it returns an error when it can't watch, and soon after ctx
// ends. A wrong guess does no harm: the worker tries, and waits again.
type Waiter interface {
	Await(ctx context.Context) error
}

// Server is for sinks that consumers connect to. The worker calls Serve when it
// starts, beside Deliver, and again after a pause if it returns before ctx
// ends. newest yields the newest token of each of the sink's accounts as the
// store has it at that moment, so that the sink need not keep any for a
// consumer that comes later; after an error it yields nothing more.
type Server interface {
	Serve(ctx context.Context, newest func(context.Context) iter.Seq2[Delivery, error]) error
}

// Delivery is one account's newest token on its way to one sink.
type Delivery struct {
	// ID is the same for every try of this version at this sink.
	ID string
	// Version of the account's record.
	Version uint64
	// Document is what the sink may see: its field policy is already applied.
	Document format.Document
}

var (
	// ErrAbsent: the consumer is not running. It is no failure: it is logged
	// once, and the token is delivered when the consumer comes. It says so of
	// the destination as a whole, not of one account.
	ErrAbsent = errors.New("the consumer is not running")
	// ErrGone: the destination wants nothing more; the sink is disabled until
	// the configuration is loaded again.
	ErrGone = errors.New("the receiver says that it is gone for good")
	// ErrRefused: this version can't be delivered, and trying again would not
	// help. The next version is tried.
	ErrRefused = errors.New("can't be delivered")
)

// RetryAfterError asks for a pause before the next try.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("%v (asked to wait %s)", e.Err, e.After)
}
func (e *RetryAfterError) Unwrap() error { return e.Err }
