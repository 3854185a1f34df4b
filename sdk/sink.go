package sdk

import (
	"context"
	"errors"
	"time"
)

// Sink is one kind of destination as a plugin: a secret manager, a broker of
// messages, a platform's own service. It is stateless: every request carries
// the settings and the token that it needs. Its methods may be called
// concurrently, but never concurrently for one account of one sink.
type Sink interface {
	// DescribeSink says what the sink is. It must not touch the network.
	DescribeSink(ctx context.Context) (SinkDescription, error)

	// Deliver makes one try to bring the token to the destination, and
	// returns nil only when the destination has it. It must not retry: the
	// supervisor decides that. The same version may be delivered again, with
	// the same ID; an older one is never delivered after a newer one.
	//
	// An error is tried again, unless it is, or wraps, [ErrAbsent], [ErrGone],
	// [ErrRefused], [ErrLater] or an [Error] with RetryAfter. Its text goes to logs and
	// people and must hold no secret. Deliver must return soon after ctx ends.
	Deliver(ctx context.Context, req DeliverRequest) error
}

// Restorer is a Sink that can give back what it was given, so that a machine
// that lost its disk needs nobody to log in.
type Restorer interface {
	// Restore returns the newest document that the destination holds of the
	// account, and [ErrNothingStored] if it holds none.
	Restore(ctx context.Context, req RestoreRequest) (Restored, error)
}

// Holder is a Sink that can say which version its destination holds, so that what
// that has lost is delivered again.
type Holder interface {
	// Holds returns what the destination holds of the account now, and
	// [ErrNothingStored] if that is nothing. Nothing of a token is given back. It is
	// asked at the start and every half minute of each account, also beside a Deliver
	// of the same account: it must change nothing and cost little. An error means that nobody knows, and harms nothing;
	// [ErrUnimplemented] that nobody can tell.
	Holds(ctx context.Context, req HoldsRequest) (Holding, error)
}

// Tester is a Sink that can prove, without writing any token, that its
// destination would take one.
type Tester interface {
	Test(ctx context.Context, req TestRequest) error
}

// Notifier is a Sink that can tell of alerts and other events.
type Notifier interface {
	Notify(ctx context.Context, req NotifyRequest) error
}

// What the errors of a sink can mean, beyond "try again".
var (
	// ErrAbsent: the consumer is not running. It is no failure: the token is
	// delivered when the consumer comes.
	ErrAbsent = errors.New("the consumer is not running")
	// ErrGone: the destination wants nothing more; the sink is disabled until
	// a person enables it, or the supervisor starts again.
	ErrGone = errors.New("the receiver says that it is gone for good")
	// ErrRefused: this version can't be delivered, and trying again would not
	// help. The next version is tried.
	ErrRefused = errors.New("can't be delivered")
	// ErrLater: the sink puts this account's delivery off on purpose, e.g.
	// because each one costs money. It is no failure; what is newest then is
	// delivered after the RetryAfter of the [Error] that wraps it.
	ErrLater = errors.New("put off on purpose")
	// ErrNothingStored: the destination holds nothing of that account.
	ErrNothingStored = errors.New("the destination holds nothing of this account")
)

// SinkDescription is a sink's answer to the question what it is.
type SinkDescription struct {
	// Name of the type, [a-z0-9][a-z0-9_-]*, as "type:" in the configuration.
	Name string
	// Version of the plugin, for people.
	Version string
	// Settings that a sink of this type may carry. A setting that is not
	// listed here is refused before anything starts.
	Settings []Setting

	// Restorer, Holder, Tester and Notifier say which optional interfaces the sink
	// implements. [ServeSink] fills them in.
	Restorer, Holder, Tester, Notifier bool
}

// Settings of one sink. Any of them may be a secret, so all are kept as such.
type Settings map[string]Secret

// Get returns the setting in clear text; "" if it is not set.
func (s Settings) Get(name string) string { return s[name].Reveal() }

// DeliverRequest is one account's newest token on its way to one sink.
type DeliverRequest struct {
	// ID is the same for every try of this version at this sink.
	ID string
	// Sink is the name that the configuration gives it.
	Sink     string
	Settings Settings

	Account, Provider string
	// Version of the account's record; it only grows.
	Version uint64
	// Token has a refresh token and an ID token only if the configuration
	// lets this sink see them.
	Token Token
	// RefreshExpiry of the refresh token; zero: unknown, or not to be seen.
	RefreshExpiry time.Time
	// Content is the token in the layout that the configuration sets for the
	// sink (format; our JSON by default): what most sinks store as it is.
	Content Secret
}

// RestoreRequest asks for the newest document of an account.
type RestoreRequest struct {
	Sink              string
	Settings          Settings
	Account, Provider string
}

// Restored is what a destination gave back.
type Restored struct {
	// Content as it was delivered.
	Content Secret
	// StoredAt is when the destination took it; zero: unknown.
	StoredAt time.Time
}

// HoldsRequest asks which version the destination holds.
type HoldsRequest struct {
	Sink              string
	Settings          Settings
	Account, Provider string
	// Version that was delivered last, at DeliveredAt.
	Version     uint64
	DeliveredAt time.Time
}

// Holding is what a destination holds.
type Holding struct {
	// Version is that of the delivery whose token stands there.
	Version uint64
}

// TestRequest asks to prove that the destination is in order for an account.
type TestRequest struct {
	Sink              string
	Settings          Settings
	Account, Provider string
}

// NotifyRequest tells of one alert or one other event. It holds no token.
type NotifyRequest struct {
	// ID is the same for every try of this notice at this sink.
	ID       string
	Sink     string
	Settings Settings
	// Kind is "alert" or "lifecycle".
	Kind string
	// Type is what happened, e.g. needs_login. State of an alert: raised (it has
	// begun, or come to more accounts), repeated or recovered.
	Type, State string
	// Subject: the ones that it concerns are set.
	Account, Provider, OfSink string
	// Message is one sentence for a person.
	Message string
	// Since is when an alert was raised, Time when this notice came up.
	Since, Time time.Time
	// Content is the whole notice as a JSON object.
	Content string
}
