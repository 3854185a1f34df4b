package keepalive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// longest is how long a beat may take.
	longest = 30 * time.Second
	// soon is when a new token's session has its first beat.
	soon = time.Second
	// looksAgain is how soon an account is looked at again that has no session now.
	looksAgain = time.Minute
	// longestLimit bounds what a broker may ask for as a pause.
	longestLimit = time.Hour
)

// Accounts has the tokens. It is safe for concurrent use.
type Accounts interface {
	// Serves says whether tokens may be used already: a generation settles first what
	// the one before has left open.
	Serves() bool
	// Session returns the account and its newest token; ok is false if no session is
	// to be kept alive now: there is no token, it is dead or not to be used, or
	// another one is on its way.
	Session(name string) (a sdk.Account, rec store.Record, ok bool)
	// SessionGone is told at each answer whether the session of that version is over.
	// It does what can be done without a person.
	SessionGone(name string, version uint64, gone bool)
}

// Config is what [Beats] are made of.
type Config struct {
	Provider string
	Names    []string
	Accounts Accounts
	Events   *event.Bus
	Log      *slog.Logger
	// Wall is the wall clock.
	Wall func() time.Time
}

// Beats are those of all accounts of one provider. They outlive its generations and
// are safe for concurrent use.
type Beats struct {
	cfg   Config
	clock *schedule.Clock
	wake  chan struct{} // interrupts the loop's sleep

	mu     sync.Mutex
	met    bool // the provider has said whether its sessions need beats
	every  time.Duration
	heap   *schedule.Heap
	looked schedule.Instant // when the clocks were last compared
	// woke is when beats became due because the clocks had drifted apart, on the
	// monotonic one: before that, none was late.
	woke     time.Duration
	lanes    lanes
	sessions map[string]Session
	// held is until when no beat is made, on the monotonic clock: the broker has
	// asked for a pause, or the account's beat has ended the process.
	held    map[string]time.Duration
	changed map[string]bool
}

// New returns Beats that [Beats.Run] makes.
func New(cfg Config) *Beats {
	return &Beats{
		cfg: cfg, clock: schedule.NewClock(cfg.Wall), wake: make(chan struct{}, 1), heap: schedule.NewHeap(),
		sessions: map[string]Session{}, held: map[string]time.Duration{}, changed: map[string]bool{},
	}
}

// beat is one that is due.
type beat struct {
	name  string
	began schedule.Instant
	late  time.Duration
	slow  bool // its account had no answer last time
}

// send makes a beat, and plans the next.
func (b *Beats) send(ctx context.Context, p Provider, due beat) {
	a, rec, ok := b.cfg.Accounts.Session(due.name)
	if !ok {
		b.later(due, min(looksAgain, b.cadence()))
		return
	}
	token := rec.Token
	token.RefreshToken = sdk.Secret{} // which no beat needs
	timeout := min(b.cadence(), longest)
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	life, err := p.KeepAlive(call, sdk.KeepaliveRequest{Account: a, Token: token})
	var failure *sdk.Error
	switch {
	case ctx.Err() != nil:
		return // the generation ends, and the next one begins anew
	case errors.As(err, &failure):
		err = failure // and not how it came here
		b.hold(due.name, min(failure.RetryAfter, longestLimit))
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer came within %s", timeout)
	case errors.Is(err, sdk.ErrConnection):
		b.hold(due.name, b.cadence()) // it may be what has ended the process: others come first
		b.later(due, b.cadence())
		return
	}
	if _, now, ok := b.cfg.Accounts.Session(due.name); !ok || now.Version != rec.Version {
		b.later(due, soon) // it was about a token that is replaced, or is being replaced now
		return
	}
	b.later(due, b.heard(due, rec.Version, life, err))
	if err == nil {
		b.cfg.Accounts.SessionGone(due.name, rec.Version, life == sdk.Gone)
	}
}

// recovered keeps a panic, which would end the supervisor, with the beat.
func (b *Beats) recovered(due beat) {
	if v := recover(); v != nil { // it may hold anything, a token too
		b.cfg.Log.Error("a defect of Tokenkeeper: please report it", "account", due.name, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		b.later(due, b.cadence())
	}
}

// heard notes what came of a beat, tells what is news, and says how long it is to
// the next one.
func (b *Beats) heard(due beat, version uint64, life sdk.Life, err error) time.Duration {
	now := b.clock.Now().Wall
	b.mu.Lock()
	had := b.sessions[due.name]
	s := had
	if s.Version != version {
		s = Session{Version: version}
	}
	if err != nil {
		s = s.unanswered(err, b.every, now)
	} else {
		s = s.answered(life, due.late, b.every, now)
	}
	b.sessions[due.name] = s
	pause := s.pause(b.every, now)
	news := s.Life != had.Life || (s.Unheard != "") != (had.Unheard != "") || s.Version != had.Version
	if news {
		b.changed[due.name] = true
	}
	b.mu.Unlock()
	if news {
		b.cfg.Events.Nudge()
	}
	b.log(due.name, had, s)
	return pause
}

// log says at the level of a detail what alerts tell where it matters.
func (b *Beats) log(name string, had, s Session) {
	log := b.cfg.Log.With("provider", b.cfg.Provider, "account", name)
	switch {
	case s.Failures == 1:
		log.Info("the session was not kept alive: "+s.Error, "version", s.Version)
	case s.Failures == 0 && had.Failures > 0 && s.Version == had.Version:
		log.Info("the session is kept alive again", "version", s.Version, "failures", had.Failures)
	}
	if s.Life != had.Life && (s.Life != sdk.Alive || had.Life != "") {
		log.Info("the broker says of the session: "+string(s.Life), "version", s.Version)
	}
}

func (b *Beats) cadence() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.every
}

// later ends a beat and plans the next one so long after it began.
func (b *Beats) later(due beat, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes.leave(due.slow)
	now := b.clock.Now()
	b.plan(due.name, pause-(now.Mono-due.began.Mono), now)
}

// plan plans the next beat of an account. The lock is held.
func (b *Beats) plan(name string, pause time.Duration, now schedule.Instant) {
	if held := b.held[name] - now.Mono; held > 0 {
		pause = max(pause, held)
	} else {
		delete(b.held, name)
	}
	b.heap.Set(name, moment.Add(now.Wall, pause), now)
	b.signal()
}

func (b *Beats) hold(name string, pause time.Duration) {
	if pause <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[name] = b.clock.Now().Mono + pause
}

// signal interrupts the loop's sleep without blocking.
func (b *Beats) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// NewToken has the session of an account's new token looked at soon. It never blocks.
func (b *Beats) NewToken(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	if at, planned := b.heap.Mono(name); planned && at > now.Mono+soon {
		b.plan(name, soon, now)
	}
}

// Session is what is known of an account's session. ok is false if its provider's
// sessions need no beat; before that is known, its Life is "".
func (b *Beats) Session(name string) (s Session, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[name], !b.met || b.every > 0
}

// Changed are the accounts of whose sessions something is news since the last call.
func (b *Beats) Changed() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := b.changed
	b.changed = map[string]bool{}
	return names
}
