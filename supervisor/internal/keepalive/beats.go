package keepalive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
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
	// longestHold bounds the pause after calls that end the process.
	longestHold = time.Hour
	// rarest is the longest cadence.
	rarest = 24 * time.Hour
)

// Accounts has the tokens. It is safe for concurrent use.
type Accounts interface {
	// Serves says whether tokens may be used already: a generation settles first what
	// the one before has left open.
	Serves() bool
	// Session returns the account and its newest token; ok is false if no session is
	// to be kept alive now: there is no token, it is dead or not to be used, or
	// another one is on its way. An error is why nothing can be asked although one
	// is. It takes a second or two at most.
	Session(name string) (a sdk.Account, rec store.Record, ok bool, err error)
	// SessionOf says, without waiting for anything, whether the session of that
	// version is still to be kept alive.
	SessionOf(name string, version uint64) bool
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
	// Probe asks for a closer look at a process that does not answer; nil: nobody is
	// asked.
	Probe func()
}

// Beats are those of all accounts of one provider. They outlive its generations and
// are safe for concurrent use.
type Beats struct {
	cfg   Config
	clock *schedule.Clock
	wake  chan struct{} // interrupts the loop's sleep

	mu         sync.Mutex
	met        bool // the provider has said whether its sessions need beats
	every      time.Duration
	generation int
	lanes      lanes
	looked     schedule.Instant // when the clocks were last compared
	// woke is when beats became due because the clocks had drifted apart, on the
	// monotonic one: before that, none was late.
	woke    time.Duration
	pulses  map[string]*pulse
	changed map[string]bool
}

// pulse is what is known of one account. Its moments are on the monotonic clock.
type pulse struct {
	session Session
	// asked is when its last call began.
	asked time.Duration
	// held is until when it has none because the broker has asked for a pause, or its
	// calls end the process, and spared because its session is gone.
	held, spared time.Duration
	// slow: its last call has used its whole time.
	slow bool
	// lost: its last call ended with the connection. Ended are the generations that
	// have ended with such a call, in a row.
	lost  bool
	ended int
}

// lane is where its next beat waits.
func (p *pulse) lane() int {
	switch {
	case p.ended > 0:
		return suspect
	case p.slow:
		return slow
	}
	return quick
}

// New returns Beats that [Beats.Run] makes.
func New(cfg Config) *Beats {
	b := &Beats{
		cfg: cfg, clock: schedule.NewClock(cfg.Wall, nil), wake: make(chan struct{}, 1), lanes: lanesFor(0, 0),
		pulses: map[string]*pulse{}, changed: map[string]bool{},
	}
	for _, name := range cfg.Names {
		b.pulses[name] = &pulse{asked: -sdk.LeastKeepalive}
	}
	return b
}

// begin plans the first beats of a generation, spread over a quarter of the cadence,
// those first that have waited longest.
func (b *Beats) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.generation++
	b.lanes, b.looked = lanesFor(len(b.cfg.Names), b.every), b.clock.Now()
	if b.every == 0 {
		return
	}
	names := slices.Clone(b.cfg.Names)
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(b.pulses[x].asked, b.pulses[y].asked) })
	for n, name := range names {
		if p := b.pulses[name]; p.lost { // it may be what has ended the process: others come first
			p.lost = false
			p.ended++
			p.held = max(p.held, p.asked+min(b.every<<min(p.ended-1, 10), longestHold))
		}
		b.plan(name, time.Duration(float64(b.every)/4*float64(n)/float64(len(names))), b.looked)
	}
}

// beat is one that is due.
type beat struct {
	name       string
	generation int
	lane       int
	began      schedule.Instant
	late       time.Duration
}

// send makes a beat, and plans the next.
func (b *Beats) send(ctx context.Context, p Provider, due beat) {
	a, rec, ok, err := b.cfg.Accounts.Session(due.name)
	switch {
	case !ok:
		b.later(due, min(looksAgain, b.cadence()))
		return
	case err != nil:
		b.later(due, b.heard(due, rec.Version, result{err: err}))
		return
	case ctx.Err() != nil:
		return
	}
	r := b.ask(ctx, p, due.name, a, rec)
	switch {
	case r.lost: // the generation may have ended with it
	case ctx.Err() != nil:
		return // the generation ends, and the next one begins anew
	case !b.cfg.Accounts.SessionOf(due.name, rec.Version):
		b.later(due, soon) // it was about a token that is replaced, or is being replaced now
		return
	}
	b.later(due, b.heard(due, rec.Version, r))
	if r.err == nil {
		b.cfg.Accounts.SessionGone(due.name, rec.Version, r.life == sdk.Gone)
	}
}

// result is what came of a call.
type result struct {
	life sdk.Life
	err  error
	hold time.Duration // which the broker asks for
	slow bool          // it has used its whole time
	lost bool          // it ended with the connection
}

// ask makes the call.
func (b *Beats) ask(ctx context.Context, p Provider, name string, a sdk.Account, rec store.Record) (r result) {
	token := rec.Token
	token.RefreshToken = sdk.Secret{} // which no beat needs
	b.mu.Lock()
	timeout, pulse := min(b.every, longest), b.pulses[name]
	pulse.asked = b.clock.Now().Mono
	b.mu.Unlock()
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r.life, r.err = p.KeepAlive(call, sdk.KeepaliveRequest{Account: a, Token: token})
	r.err = belief.Failure(r.err)
	var failure *sdk.Error
	switch {
	case errors.As(r.err, &failure):
		r.err, r.hold = failure, failure.RetryAfter // and not how it came here
		r.slow = call.Err() != nil
	case errors.Is(r.err, context.DeadlineExceeded):
		r.err, r.slow = fmt.Errorf("no answer came within %s", timeout), true
	case errors.Is(r.err, sdk.ErrConnection):
		r.lost = true
	}
	if r.slow && ctx.Err() == nil && b.cfg.Probe != nil {
		b.cfg.Probe() // the process may hang, and not the broker
	}
	return r
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
func (b *Beats) heard(due beat, version uint64, r result) time.Duration {
	now := b.clock.Now()
	b.mu.Lock()
	p := b.pulses[due.name]
	had := p.session
	s := had
	if s.Version != version {
		s = Session{Version: version}
	}
	if r.err != nil {
		s = s.unanswered(r.err, b.every, now.Wall)
	} else {
		s = s.answered(r.life, due.late, b.every, now.Wall)
	}
	pause := s.pause(b.every, now.Wall)
	p.session, p.slow, p.lost, p.spared = s, r.slow, r.lost, 0
	if !r.lost {
		p.ended = 0
	}
	if r.hold > 0 {
		p.held = now.Mono + r.hold
	}
	if s.spared() {
		p.spared = due.began.Mono + pause
	}
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
		log.Info("the session was not kept alive: "+s.LastError, "version", s.Version)
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

// later ends a beat and plans the next one so long after it began. One that is left of
// an earlier generation has no place, and the account is planned already.
func (b *Beats) later(due beat, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if due.generation != b.generation {
		return
	}
	b.lanes[due.lane].flying--
	now := b.clock.Now()
	b.plan(due.name, pause-(now.Mono-due.began.Mono), now)
}

// plan plans the next beat of an account, no sooner than it may have one. The lock is
// held.
func (b *Beats) plan(name string, pause time.Duration, now schedule.Instant) {
	p := b.pulses[name]
	pause = max(pause, p.held-now.Mono, p.spared-now.Mono, p.asked+sdk.LeastKeepalive-now.Mono)
	b.lanes[p.lane()].heap.Set(name, moment.Add(now.Wall, pause), now)
	b.signal()
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
	p := b.pulses[name]
	if p == nil {
		return
	}
	p.spared = 0 // which was the session of the one before
	now := b.clock.Now()
	if at, planned := b.lanes[p.lane()].heap.Mono(name); planned && at > now.Mono+soon {
		b.plan(name, soon, now)
	}
}

// Session is what is known of an account's session. ok is false if its provider's
// sessions need no beat; before that is known, its Life is "".
func (b *Beats) Session(name string) (s Session, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pulses[name]; p != nil {
		s = p.session
	}
	return s, !b.met || b.every > 0
}

// Changed are the accounts of whose sessions something is news since the last call.
func (b *Beats) Changed() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := b.changed
	b.changed = map[string]bool{}
	return names
}
