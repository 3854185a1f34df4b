// Package sink brings every account's newest token to the places that the
// configuration names, and remembers who has which.
package sink

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
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

// Recipient is for sinks that can tell one consumer from the next, so that one
// that has started anew gets what the one before it had.
type Recipient interface {
	// Recipient names who would take a delivery now, without disturbing him. One that
	// has started anew has another name, and keeps it. "": nobody is there, or nobody
	// can tell.
	Recipient(ctx context.Context) (name string, err error)
}

// Watcher is for sinks that hear of what happens at their destination.
type Watcher interface {
	// Watch has news called, until ctx ends, when the destination may hold less of an
	// account than it did, or, with "", when that may be so of all of them or another
	// consumer may have come. It returns at once; after an error news is never called.
	// What it misses is seen at the next look.
	Watch(ctx context.Context, news func(account string)) error
}

// Delivery is one account's newest token on its way to one sink.
type Delivery struct {
	// ID is the same for every try of this version at this sink.
	ID string
	// Version of the account's record.
	Version uint64
	// Again: it is wanted delivered to whoever has it already.
	Again bool
	// Reshaped: what stands there is ours, written in another way, which its reader in this
	// one may take for damaged.
	Reshaped bool
	// Document is what the sink may see: its field policy is already applied.
	Document format.Document
}

// Kind is what is sent to a sink.
type Kind string

const (
	KindToken     Kind = "token"
	KindAlert     Kind = "alert"
	KindLifecycle Kind = "lifecycle"
)

// Notifier is for sinks that can tell of alerts and lifecycle events. Notify
// is under the rules of [Sink.Deliver]; a notice never holds a token.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// Notice is one alert or one lifecycle event on its way to one sink. Exactly
// one of Alert and Event is set, as Kind says.
type Notice struct {
	// ID is the same for every try of this notice at this sink.
	ID    string
	Kind  Kind
	Alert *event.Alert
	Event *event.Event
	// Test marks a notice that a person asked for to see whether it arrives.
	Test bool
}

// Tester is for sinks that can show that they work without giving anybody a
// token that is not the account's newest. d holds the account's newest token;
// a sink that would disturb its consumer with it does not send it. done says
// in a few words what was tried, e.g. "wrote and removed a file beside it".
type Tester interface {
	Test(ctx context.Context, d Delivery) (done string, err error)
}

// Holder is for sinks whose destination can be read back: a place that we write
// is not believed to hold what we wrote.
type Holder interface {
	// Holds returns what the destination holds of an account now. It changes
	// nothing. [sdk.ErrNothingStored]: there is nothing; [format.ErrUnreadable]:
	// nothing whole, of which Held.At still says since when, and Held.Rest whether it
	// may be what is left of a token. [fs.ErrNotExist]: there
	// is no place for it, such as its folder, which a delivery meets too. After any
	// other error nobody knows what is there. An error holds no secret.
	Holds(ctx context.Context, q readback.Question) (readback.Held, error)
}

// The meanings of a sink's error, the same for sinks that are plugins.
var (
	// ErrAbsent: the consumer is not running. It is no failure: it is logged
	// once, and the token is delivered when the consumer comes. It says so of
	// the destination as a whole, not of one account. It alarms ten minutes after a
	// token has begun to wait if none was ever delivered, else 72 hours after the last
	// delivery; a failure (any other error) does after max_failures in a row or a minute.
	ErrAbsent = sdk.ErrAbsent
	// ErrGone: the destination wants nothing more; the sink is disabled until
	// the configuration is loaded again or a person enables it.
	ErrGone = sdk.ErrGone
	// ErrRefused: this version can't be delivered, and trying again would not
	// help. The next version is tried.
	ErrRefused = sdk.ErrRefused
	// ErrLater: the sink puts the account's delivery off on purpose, until the
	// moment that a [RetryAfterError] asks for. It is no failure.
	ErrLater = sdk.ErrLater
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
