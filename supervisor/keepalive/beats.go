package keepalive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// atOnce is how many beats may be in flight.
	atOnce = 16
	// longest is how long one may take.
	longest = 30 * time.Second
	// describeTimeout bounds the question how often a session needs one.
	describeTimeout = 10 * time.Second
	// looksAgain is how soon an account is looked at again that has no session now.
	looksAgain = time.Minute
)

// Accounts has the tokens. It is safe for concurrent use.
type Accounts interface {
	// Session returns the account and its newest token; ok is false if no session is
	// to be kept alive now: there is no token, it is dead or not to be used, or
	// another one is on its way.
	Session(name string) (a sdk.Account, rec store.Record, ok bool)
	// SessionGone is told at each answer whether the session of that version is over.
	// It does what can be done without a person, at most once for a version.
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
	slots chan struct{} // a place for each that may be in flight
	wake  chan struct{} // interrupts the loop's sleep

	mu       sync.Mutex
	met      bool // the provider has said whether its sessions need beats
	every    time.Duration
	heap     *schedule.Heap
	sessions map[string]Session
	changed  map[string]bool
}

// New returns Beats that [Beats.Run] makes.
func New(cfg Config) *Beats {
	return &Beats{
		cfg: cfg, clock: schedule.NewClock(cfg.Wall), slots: make(chan struct{}, atOnce), wake: make(chan struct{}, 1), heap: schedule.NewHeap(),
		sessions: map[string]Session{}, changed: map[string]bool{},
	}
}

// Provider is the process of which beats ask something; [sdk.Remote] is one.
type Provider interface {
	Describe(ctx context.Context) (sdk.Description, error)
	KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error)
}

// Run makes the beats of one generation until ctx ends. Where the provider's sessions
// need none it does nothing. It returns an error only if the provider does not say.
func (b *Beats) Run(ctx context.Context, p Provider) error {
	if err := b.meet(ctx, p); err != nil {
		return err
	}
	var flights sync.WaitGroup
	defer flights.Wait()
	for ctx.Err() == nil {
		name, wait := b.next()
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-b.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case b.slots <- struct{}{}:
		}
		flights.Go(func() {
			defer func() { <-b.slots }()
			b.beat(ctx, p, name)
		})
	}
	return nil
}

// meet learns how often sessions need a beat, and spreads the first ones over a
// quarter of that: they have waited while nobody made any.
func (b *Beats) meet(ctx context.Context, p Provider) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := p.Describe(ctx)
	if err != nil {
		return fmt.Errorf("ask provider %s how often its sessions need a call: %w", b.cfg.Provider, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.met, b.every, b.heap = true, 0, schedule.NewHeap()
	if d.Keepalive && d.KeepaliveEvery > 0 {
		b.every = d.KeepaliveEvery
		now := b.clock.Now()
		for n, name := range b.cfg.Names {
			b.heap.Set(name, now.Wall.Add(b.every/4*time.Duration(n)/time.Duration(len(b.cfg.Names))), now)
		}
	}
	return nil
}

// next takes the account out of the heap whose beat is due; if none is, it says how
// long to wait.
func (b *Beats) next() (name string, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name, wait, ok := b.heap.Next(b.clock.Now())
	switch {
	case !ok: // all are in flight, or no session needs any
		return "", schedule.Farthest
	case wait > 0:
		return "", wait
	}
	b.heap.Remove(name)
	return name, 0
}

// beat makes one, and plans the next.
func (b *Beats) beat(ctx context.Context, p Provider, name string) {
	began := b.clock.Now()
	a, rec, ok := b.cfg.Accounts.Session(name)
	if !ok {
		b.later(name, began, min(b.cadence(), looksAgain))
		return
	}
	timeout := min(b.cadence(), longest)
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	life, err := ask(call, p, sdk.KeepaliveRequest{Account: a, Token: rec.Token})
	if ctx.Err() != nil {
		return // the generation ends, and the next one begins anew
	}
	var failure *sdk.Error
	if errors.As(err, &failure) {
		err = failure // and not how it came here
	} else if err != nil && call.Err() != nil {
		err = fmt.Errorf("no answer came within %s", timeout)
	}
	if _, now, ok := b.cfg.Accounts.Session(name); !ok || now.Version != rec.Version {
		b.later(name, began, soonest) // it was about a token that is replaced, or is being replaced now
		return
	}
	s, pause := b.heard(name, rec.Version, life, err)
	b.later(name, began, pause)
	if err == nil {
		b.cfg.Accounts.SessionGone(name, rec.Version, s.Life == sdk.Gone)
	}
}

// ask keeps a panic, which would end the supervisor, with the beat.
func ask(ctx context.Context, p Provider, req sdk.KeepaliveRequest) (life sdk.Life, err error) {
	defer func() {
		if v := recover(); v != nil { // it may hold anything, a token too
			err = fmt.Errorf("a defect of Tokenkeeper: panic of type %T", v)
		}
	}()
	return p.KeepAlive(ctx, req)
}

// heard notes what came of a beat, tells what is news, and says how long it is to
// the next one.
func (b *Beats) heard(name string, version uint64, life sdk.Life, err error) (Session, time.Duration) {
	now := b.clock.Now().Wall
	b.mu.Lock()
	had := b.sessions[name]
	s := had
	if s.Version != version {
		s = Session{Version: version}
	}
	var retryAfter time.Duration
	if err != nil {
		s = s.unanswered(err, now)
		var failure *sdk.Error
		if errors.As(err, &failure) {
			retryAfter = failure.RetryAfter
		}
	} else {
		s = s.answered(life, now)
	}
	b.sessions[name] = s
	pause := s.pause(b.every, retryAfter, now)
	news := s.Life != had.Life || s.Unheard() != had.Unheard() || s.Version != had.Version
	if news {
		b.changed[name] = true
	}
	b.mu.Unlock()
	if news {
		b.cfg.Events.Nudge()
	}
	b.log(name, had, s)
	return s, pause
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

// later plans the next look at an account, counted from a moment.
func (b *Beats) later(name string, from schedule.Instant, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heap.Set(name, from.Wall.Add(pause), b.clock.Now())
	select {
	case b.wake <- struct{}{}:
	default:
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
