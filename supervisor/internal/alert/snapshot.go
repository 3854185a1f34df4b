// Package alert decides what people must be told of. It looks at how things
// stand, not at what happened on the way there: so an alert is neither missed
// nor told twice, and outlives a restart.
package alert

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

// Snapshot is how things stand at one moment. It has every plugin process and
// sink of the configuration, and the accounts of which the [Engine] has asked or
// anything may have changed since the last one.
type Snapshot struct {
	Now       time.Time
	Accounts  []Account
	Processes []Process
	Loads     []Load
	Sinks     []Sink
	// StoreFault is why nothing can be made durable; "": all is well.
	StoreFault string
	// OtherMachine is why the store is another machine's, and OtherTodo what to
	// do; "": it is this one's.
	OtherMachine, OtherTodo string
	// ReloadFailed is why the last reload failed; "": none has, or it does not matter any
	// more.
	ReloadFailed string
	// Facts are the troubles that nothing else here shows.
	Facts []event.Fact
}

// Account is how one account does. A look reads of almost all accounts only what
// comes first, up to RefreshExpiry.
type Account struct {
	// NeedsLogin: the server refused the newest refresh token, or its login is over.
	// Misconfigured: it refused the client's credentials or settings.
	NeedsLogin, Misconfigured bool
	// Undecided: it was refused just now, and another one is looked for.
	Undecided bool
	// Renewed: its newest token was stored in this run of the supervisor.
	Renewed bool
	// ExpiryUncertain: Expiry was assumed. Uncertain: RefreshExpiry rests on a
	// guess.
	ExpiryUncertain, Uncertain bool
	// PolicyKnown: the provider has said whether each refresh starts the life
	// of the refresh token anew (Sliding).
	PolicyKnown, Sliding bool
	// LoginUnknown: its login ends a fixed time after it was made, and nobody
	// knows when that was.
	LoginUnknown bool
	// Failures in a row, of MaxFailures that raise an alert.
	Failures int
	// Asked is what a person has to decide about its shared file, and Ways how;
	// "": nothing. Zone is why the local times there, or in the file of
	// ZoneSink, can't be right.
	Asked, Zone, ZoneSink string
	// Pause is since when, by whom and why nothing is asked of its broker; "": it is not
	// paused.
	Pause string
	// Shut is why its shared file can't be locked; "": it can be, or will be
	// before long.
	Shut string
	// Waits is whose login waits for a person's decision, and WaitsFor how it is
	// made; GrantedElsewhere is why the configuration keeps its token from being sent,
	// with what to do; "": nothing.
	Waits, WaitsFor, GrantedElsewhere string
	// AmbiguousSince is zero unless an attempt's outcome is unknown.
	AmbiguousSince time.Time
	// Session is how the broker's session of the newest token is.
	Session Session
	// RefreshExpiry is when the refresh token dies; zero: unknown.
	RefreshExpiry time.Time

	// Outage is for how long its consumers go on without a next token.
	Outage Outage

	// Mints: tokens can be minted from its key, so that it may have none yet. By is how a
	// person gives it one: by another key only while the broker refuses this one.
	Mints bool
	By    advice.Token

	// LoginLife is for how long its login lives in all; 0: nobody knows.
	LoginLife time.Duration
	// Ended is the end of its login, of one that needs one because its time is over and
	// not because the server refused anything; "": it is not so.
	Ended string

	Name, Provider string
	Ways           string
	MaxFailures    int
	// StoredAt is when its newest token was stored; zero: there is none.
	StoredAt time.Time
	// Expiry of the access token; zero: nobody knows it.
	Expiry time.Time
	// PausedSince is since when it is paused.
	PausedSince time.Time
	LastError   string
	// FailedAt is when it failed last, and Maintenance the end of the broker's
	// time of maintenance that is, or was lately; zero: none. See [Maintenance].
	FailedAt, Maintenance time.Time
	// Act names what gets it the next token, "refresh" for example, and Spent what the
	// attempt of AmbiguousSince has perhaps used up.
	Act, Spent string
	// Unread is the file of an answer that nobody could read, to the attempt of
	// AmbiguousSince; "": there is none.
	Unread string
}

// Outage is for how long the consumers of an account go on if no token comes any more.
type Outage struct {
	// Left of it, up to Until, and Planned the least that is planned.
	Left, Planned time.Duration
	Until         time.Time
	// Sink has the token that ends first; "": it is the account's own. Behind: it is an
	// older one.
	Sink   string
	Behind bool
	// Short is for how long that has been notably less than planned; 0: it is not. Well:
	// it is known not to be.
	Short time.Duration
	Well  bool
}

// Session is how a session is that dies of idleness.
type Session struct {
	// State of it, since then by the broker's word.
	State SessionState
	Since time.Time
	// Unheard is what became of the last beat, if the last few had no answer; "": one
	// had. Late: each has one, and they come late.
	Unheard string
	Late    bool
}

// SessionState is what the broker said of it last.
type SessionState int

const (
	SessionNone    SessionState = iota // the token is dead or refused, or the provider's sessions don't die of idleness
	SessionUnknown                     // nothing was heard of it yet
	SessionAlive
	SessionCompeting // another login has taken it
	SessionGone
)

// ProcessState is how a plugin's process does, as far as it matters here.
type ProcessState int

const (
	ProcessUnknown ProcessState = iota // it starts, or ends
	ProcessRunning
	ProcessCrashing
	ProcessParked
)

// Process is how the process of one provider, or of one sink, does.
type Process struct {
	// Name of the provider or of the sink.
	Name   string
	OfSink bool
	State  ProcessState
	// RunningSince is set while it runs.
	RunningSince time.Time
	Crashes      int
	LastError    string
}

// Sink is how one sink does.
type Sink struct {
	Name string
	// Gone: the receiver said that it wants nothing more, and so the sink is
	// disabled. Off: a person disabled it.
	Gone, Off bool
	// Failing are the accounts and alerts that it did not take; of Refused of
	// them it will not be asked again to take the same version. Since is when the
	// oldest that it lacks was there, and Lag how long it is since then. Hung of
	// those failing are not tried again before the delivery that hangs has ended.
	Failing, Refused, Hung int
	Since                  time.Time
	Lag                    time.Duration
	// InRow is how often in a row that failed which failed most often, and MaxFailures
	// from which on it is an alert, however long it took.
	InRow, MaxFailures int
	// Shut is why no consumer can connect, since ShutSince; "": they can, or need not.
	Shut      string
	ShutSince time.Time
	// Waited is for how long a token has waited in this run for its consumer, which
	// is not there, and AbsentBecause how that shows; 0: it is there.
	Waited        time.Duration
	AbsentBecause string
	// Unknown are the accounts, among those failing, of which the destination
	// holds a refresh token that nobody here knows; UnknownError says it of the
	// first, and what to do.
	Unknown      []string
	UnknownError string
	// LastDelivery is zero if it never took anything.
	LastDelivery time.Time
	LastError    string
}

// Load is how the accounts of one provider stand to what may be in flight.
type Load struct {
	Provider string
	// Overloaded: accounts wait for room in flight, longer than they may, since
	// Since. Well: none waits.
	Overloaded, Well bool
	Since            time.Time
	// Overdue accounts wait; Waiting are some of them.
	Overdue int
	Waiting []string
	// Excused: it is the broker's time of maintenance.
	Excused bool
	// Rates says what is needed and what is possible, and Remedy what to do.
	Rates, Remedy string
}

// Policy is when people are told.
type Policy struct {
	// Repeat is how often an alert is told again while it lasts; 0: never.
	Repeat time.Duration
	// LoginDue is how long before the end of a login it is told; 0: never.
	LoginDue time.Duration
}

const (
	// sinkPatience is how long a sink may fail before it is an alert, however seldom:
	// its tries may hang, or be none any more.
	sinkPatience = time.Minute
	// unmetPatience is how long the consumer of a new sink may take to come.
	unmetPatience = 10 * time.Minute
	// outagePatience is for how long consumers may have a token for less time than planned:
	// after a sleep of the machine, and while a few tries fail.
	outagePatience = 90 * time.Second
	// underWay is for how long a token that has just come may be on its way to the sinks.
	underWay = 30 * time.Second
	// awayPatience is how long a consumer that has come may stay away: longer than a
	// weekend on which it is not needed, and than what it holds lives.
	awayPatience = 72 * time.Hour
	// settled is the uptime from which a process counts as healthy, less what
	// the clocks may differ.
	settled = 55 * time.Second
	// clockTolerance is how far a moment of the past may lie ahead before the
	// clock must have been set back.
	clockTolerance = 5 * time.Minute
)
