// Package event is how the rooms of the supervisor tell what happened: to the
// log, to GET /v1/events, and to whoever else subscribes.
package event

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Type names what happened.
type Type string

// Words are its name as people write it.
func (t Type) Words() string { return strings.ReplaceAll(string(t), "_", " ") }

const (
	Refreshed        Type = "refreshed"          // a new version is durable
	LoggedIn         Type = "logged_in"          // a person logged in: a new grant is durable
	LoginFailed      Type = "login_failed"       // a person's login brought no token
	LoginWaits       Type = "login_waits"        // alert: another person than before has logged in, which somebody has to confirm
	LoginDiscarded   Type = "login_discarded"    // a person wants nothing of that login
	RefreshFailed    Type = "refresh_failed"     // one attempt failed
	RefreshFailing   Type = "refresh_failing"    // alert: max_failures in a row
	RefreshPutOff    Type = "refresh_put_off"    // its refresh token waits: another may be newer, it belongs elsewhere, or its broker allows no more requests
	Paused           Type = "paused"             // a person wants nothing to be asked of an account's broker
	Resumed          Type = "resumed"            // that is over
	PauseForgotten   Type = "pause_forgotten"    // alert: the token of a paused account is over, or its login will be soon
	NeedsLogin       Type = "needs_login"        // alert: a person has to log in
	Revoked          Type = "revoked"            // a person had the broker end an account's login
	RevokeUnknown    Type = "revoke_unknown"     // nobody knows whether the broker has ended the login that a person wanted to be over
	Ambiguous        Type = "ambiguous"          // alert: an attempt's outcome is unknown
	Recovered        Type = "recovered"          // an alert is over, or a sink is enabled again
	FoundRefused     Type = "found_refused"      // alert: the broker refused a token that another program or a person brought
	Adopted          Type = "adopted"            // another program's newer token was taken from a file or a sink
	AnswerSetAside   Type = "answer_set_aside"   // an answer did not become the newest token, and is kept for a day
	RivalRefresher   Type = "rival_refresher"    // alert: another program seems to refresh this grant
	SharedFileHeld   Type = "shared_file_held"   // a program holds the shared file's lock, or it is refused; alert: after a minute
	SharedFileMended Type = "shared_file_mended" // the shared file held an older token than ours, none, or one whose login is over
	UnknownToken     Type = "unknown_token"      // alert: a file holds a refresh token that nobody here knows
	WrongZone        Type = "wrong_zone"         // alert: the local times in a file can't be right
	SessionCompeting Type = "session_competing"  // alert: another login has taken the session that is kept alive
	SessionGone      Type = "session_gone"       // alert: a session is over, and the next token does not help
	SessionUnheard   Type = "session_unheard"    // alert: nothing is heard of a session that dies of idleness
	Imported         Type = "imported"           // a first token was taken from a file
	LoginTold        Type = "login_told"         // a person has said when the login was made
	Forgotten        Type = "forgotten"          // a person removed what was stored of an account
	Restored         Type = "restored"           // a token was taken back from a sink
	RestoreFailed    Type = "restore_failed"     // a sink could not give back a token that is missing
	Delivered        Type = "delivered"          // a sink has a new version
	DeliveryFailed   Type = "delivery_failed"    // one delivery failed
	DeliveryPutOff   Type = "delivery_put_off"   // a sink takes it later, on purpose
	SinkMended       Type = "sink_mended"        // a file of ours held an older token, or none
	SinkUnseen       Type = "sink_unseen"        // nobody knows what a sink holds; its deliveries go on
	SinkGuarded      Type = "sink_guarded"       // alert: a sink holds a refresh token that nobody here knows, and is not written over
	SinkAbsent       Type = "sink_absent"        // a consumer is not running; its tokens wait for it
	SinkUnmet        Type = "sink_unmet"         // alert: the consumer of a sink has never come
	SinkAway         Type = "sink_away"          // alert: the consumer of a sink has stayed away for days
	SinkDisabled     Type = "sink_disabled"      // alert: a receiver said that it is gone
	SinkFailing      Type = "sink_failing"       // alert: max_failures in a row, or for a minute
	LoginDueSoon     Type = "login_due_soon"     // alert: a person has to log in before long
	OutageBudget     Type = "outage_budget"      // alert: consumers would be without a token sooner than planned, if no more came
	LoginUnknown     Type = "login_unknown"      // alert, told once: a login ends, and nobody knows when
	GrantedElsewhere Type = "granted_elsewhere"  // alert: the configuration names another client or environment than the token's
	Overload         Type = "overload"           // alert: more accounts are due than can be refreshed in time
	PlanMended       Type = "plan_mended"        // alert: the plan of what is due was wrong, or its loop slept
	ProviderStarted  Type = "provider_started"   // a generation serves
	ProviderStopped  Type = "provider_stopped"   // a generation ended
	ProviderCrashing Type = "provider_crashing"  // alert: crash loop
	ProviderParked   Type = "provider_parked"    // alert: can't run until someone changes something
	Untrusted        Type = "untrusted"          // alert: others can change a file that steers a provider, and nothing is sent through it
	DiskTrouble      Type = "disk_trouble"       // alert: something could not be made durable
	StoreRestored    Type = "store_restored"     // alert: the store was damaged and has been restored
	StoreDisplaced   Type = "store_displaced"    // alert: somebody removes or replaces files of the state directory
	OtherMachine     Type = "other_machine"      // alert: the store belongs to another machine
	ReloadFailed     Type = "reload_failed"      // alert: the configuration was to be read again, and could not be used
	MachineAdopted   Type = "machine_adopted"    // a person gave the store to this machine
	SinkStarted      Type = "sink_started"       // a generation of a sink's process serves
	SinkStopped      Type = "sink_stopped"       // a generation of a sink's process ended
	SinkCrashing     Type = "sink_crashing"      // alert: crash loop of a sink's process
	SinkParked       Type = "sink_parked"        // alert: can't run until someone changes something
	ClockJumped      Type = "clock_jumped"       // the wall clock moved, or the machine slept
)

// Event is one thing that happened. It never holds a secret.
type Event struct {
	// Seq grows by one with each event of this supervisor's run; those of type
	// [Audit] count by themselves.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Type Type      `json:"type"`
	// Alert is set where package alert tells that an alert was raised or is
	// repeated, and nowhere else; State there, and where it tells of its end.
	Alert bool       `json:"alert,omitempty"`
	State AlertState `json:"state,omitempty"`
	// Over is which trouble is over, where it is told that an alert is.
	Over     Type   `json:"over,omitempty"`
	Provider string `json:"provider,omitempty"`
	Account  string `json:"account,omitempty"`
	// From is the account whose login goes on as that of Account.
	From    string `json:"from,omitempty"`
	Sink    string `json:"sink,omitempty"`
	Version uint64 `json:"version,omitempty"`
	Attempt string `json:"attempt,omitempty"`
	// Kind of a failure, as package sdk names it.
	Kind string `json:"kind,omitempty"`
	// Failures in a row, of Max.
	Failures int `json:"failures,omitempty"`
	Max      int `json:"max,omitempty"`
	// Act is set in events of type [Audit].
	Act *Act `json:"act,omitempty"`
	// Message is one sentence for a person.
	Message string `json:"message"`
	// Expiry of the access token and Next refresh, where they apply.
	Expiry time.Time `json:"expires_at,omitzero"`
	Next   time.Time `json:"next,omitzero"`
}

// Bus hands events to the log and to subscribers. Publishing never blocks. It
// is safe for concurrent use.
type Bus struct {
	log *slog.Logger
	now func() time.Time

	mu        sync.Mutex
	seq, acts uint64
	subs      map[*Subscription]struct{}
	observers []func(Event)
	noters    []func(Event)
	nudged    chan struct{}
}

// NewBus logs every event to log.
func NewBus(log *slog.Logger, now func() time.Time) *Bus {
	return &Bus{log: log, now: now, subs: map[*Subscription]struct{}{}, nudged: make(chan struct{}, 1)}
}

// Observe has observer called with every event but those of type [Audit] from
// now on, in order, before Publish returns. Nothing is lost on the way. It must
// not block and must not publish.
func (b *Bus) Observe(observer func(Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.observers = append(b.observers, observer)
}

// Subscription receives events on C. A subscriber that reads too slowly loses
// the events that do not fit, which shows as a gap in Seq.
type Subscription struct {
	C   <-chan Event
	c   chan Event
	bus *Bus
	// audited: it takes events of type Audit too.
	audited bool
	// wants, unless it is nil, says which events it takes, and seq numbers those.
	wants func(Event) bool
	seq   uint64
}

// Subscribe returns a subscription to all events but those of type [Audit] that
// holds up to buffer events. The caller closes it.
func (b *Bus) Subscribe(buffer int) *Subscription {
	return b.subscribe(&Subscription{}, buffer)
}

// SubscribeTo is [Bus.Subscribe] to the events alone that are wanted, numbered as if there
// were no others. wants must not block and must not publish.
func (b *Bus) SubscribeTo(buffer int, wants func(Event) bool) *Subscription {
	return b.subscribe(&Subscription{wants: wants}, buffer)
}

func (b *Bus) subscribe(s *Subscription, buffer int) *Subscription {
	s.c, s.bus = make(chan Event, buffer), b
	s.C = s.c
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[s] = struct{}{}
	return s
}

// Close ends the subscription. C is not closed.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subs, s)
}

// Publish numbers the event, logs it at level, and hands it to every observer
// and subscriber.
func (b *Bus) Publish(level slog.Level, e Event) {
	b.mu.Lock()
	if e.Time.IsZero() {
		e.Time = b.now()
	}
	if e.Type == Audit {
		b.acts++
		e.Seq = b.acts
	} else {
		b.seq++
		e.Seq = b.seq
		for _, observe := range b.observers {
			observe(e)
		}
	}
	for _, note := range b.noters {
		note(e)
	}
	for s := range b.subs {
		e := e
		switch {
		case e.Type == Audit && !s.audited, s.wants != nil && !s.wants(e):
			continue
		case s.wants != nil:
			s.seq++
			e.Seq = s.seq
		}
		select {
		case s.c <- e:
		default:
		}
	}
	b.mu.Unlock()
	b.log.LogAttrs(context.Background(), level, e.Message, e.attrs()...)
}

// Nudge is called by a room when something has changed that may begin or end an
// alert: whoever derives the alerts looks at once. It never blocks.
func (b *Bus) Nudge() {
	select {
	case b.nudged <- struct{}{}:
	default:
	}
}

// Nudged receives after one or more calls of [Bus.Nudge]. There is one receiver.
func (b *Bus) Nudged() <-chan struct{} { return b.nudged }

func (e Event) attrs() []slog.Attr {
	attrs := append([]slog.Attr{slog.String("event", string(e.Type))}, e.Act.attrs()...)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("state", string(e.State))
	add("over", string(e.Over))
	add("provider", e.Provider)
	add("account", e.Account)
	add("from", e.From)
	add("sink", e.Sink)
	if e.Version > 0 {
		attrs = append(attrs, slog.Uint64("version", e.Version))
	}
	add("attempt", e.Attempt)
	add("kind", e.Kind)
	if e.Failures > 0 {
		attrs = append(attrs, slog.Int("failures", e.Failures), slog.Int("max_failures", e.Max))
	}
	if !e.Expiry.IsZero() {
		attrs = append(attrs, slog.Time("expires_at", e.Expiry))
	}
	if !e.Next.IsZero() {
		attrs = append(attrs, slog.Time("next", e.Next))
	}
	if e.Act != nil && e.Act.Force {
		attrs = append(attrs, slog.Bool("force", true))
	}
	return attrs
}
