package keepalive_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// desk is a provider, its broker and the keeper of its accounts in one.
type desk struct {
	every time.Duration

	mu      sync.Mutex
	version map[string]uint64
	life    map[string]sdk.Life
	err     map[string]error
	takes   time.Duration // an answer
	slow    map[string]bool
	busy    map[string]bool
	calls   map[string][]time.Time
	most    int // calls at once
	flying  int
	gone    []string
	replace bool // a new token comes in the middle of a call
	mute    int  // times that it does not say who it is
	idle    bool // nothing may be used yet
}

func newDesk(every time.Duration, names ...string) *desk {
	d := &desk{
		every: every, version: map[string]uint64{}, life: map[string]sdk.Life{}, err: map[string]error{}, busy: map[string]bool{},
		calls: map[string][]time.Time{},
	}
	for _, name := range names {
		d.version[name], d.life[name] = 1, sdk.Alive
	}
	return d
}

func (d *desk) Serves() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.idle
}

func (d *desk) Describe(context.Context) (sdk.Description, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute > 0 {
		d.mute--
		return sdk.Description{}, errors.New("no word")
	}
	return sdk.Description{Keepalive: d.every > 0, KeepaliveEvery: d.every}, nil
}

func (d *desk) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	name := req.Account.Name
	d.mu.Lock()
	d.calls[name] = append(d.calls[name], time.Now())
	d.flying++
	d.most = max(d.most, d.flying)
	takes := d.takes
	if d.slow[name] {
		takes = time.Hour
	}
	d.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flying--
	if d.replace {
		d.version[name]++
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if d.life[name] == "panic" {
		panic("a secret")
	}
	return d.life[name], d.err[name]
}

func (d *desk) Session(name string) (sdk.Account, store.Record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return sdk.Account{Name: name}, store.Record{Version: d.version[name]}, d.version[name] > 0 && !d.busy[name]
}

func (d *desk) SessionGone(name string, version uint64, gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if gone {
		d.gone = append(d.gone, fmt.Sprint(name, " v", version))
	}
}

func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// called is how often an account was beaten since the last call.
func (d *desk) called(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.calls[name])
	d.calls[name] = nil
	return n
}

// told are the versions whose sessions were said to be gone.
func (d *desk) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.gone)
}

// beating runs the beats of d until the test ends.
func beating(t *testing.T, d *desk) *keepalive.Beats {
	b := newBeats(d, time.Now)
	run(t, b, d)
	return b
}

func newBeats(d *desk, wall func() time.Time) *keepalive.Beats {
	log := slog.New(slog.DiscardHandler)
	var names []string
	for name := range d.version {
		names = append(names, name)
	}
	slices.Sort(names)
	return keepalive.New(keepalive.Config{
		Provider: "fake", Names: names, Accounts: d, Events: event.NewBus(log, time.Now), Log: log, Wall: wall,
	})
}

func run(t *testing.T, b *keepalive.Beats, p keepalive.Provider) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx, p) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func session(t *testing.T, b *keepalive.Beats, name string) keepalive.Session {
	t.Helper()
	s, ok := b.Session(name)
	if !ok {
		t.Errorf("%s has no session", name)
	}
	return s
}

// Every session has a beat in each cadence, also while the broker is slow, and not
// all at the same moment.
func TestEverySessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 400 {
			names = append(names, fmt.Sprintf("a%03d", n))
		}
		d := newDesk(time.Minute, names...)
		d.takes = time.Second
		b := beating(t, d)
		time.Sleep(2 * time.Minute)
		for _, name := range names {
			d.called(name)
		}
		time.Sleep(10 * time.Minute)
		for _, name := range names {
			if n := d.called(name); n < 9 || n > 11 {
				t.Errorf("%s had %d beats in ten minutes", name, n)
			}
			if s := session(t, b, name); s.Life != sdk.Alive || time.Since(s.Heard) > time.Minute+2*time.Second {
				t.Errorf("%s: %+v", name, s)
			}
		}
		d.set(func() {
			if d.most > 64 {
				t.Errorf("%d at once", d.most)
			}
		})
	})
}

// Who needs no beats gets none, and is known to need none.
func TestNoBeatsWhereNoneAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(0, "main")
		b := beating(t, d)
		synctest.Wait()
		if _, ok := b.Session("main"); ok {
			t.Error("it has a session")
		}
		time.Sleep(time.Hour)
		if n := d.called("main"); n != 0 {
			t.Errorf("%d beats", n)
		}
	})
}

// A session that another login has is told and goes on to be looked at; once it is
// given back it is alive. Nothing else is done about it.
func TestCompetingSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		b := beating(t, d)
		time.Sleep(time.Minute / 2)
		d.set(func() { d.life["main"] = sdk.Competing })
		time.Sleep(10 * time.Minute)
		s := session(t, b, "main")
		if s.Life != sdk.Competing || time.Since(s.Since) < 9*time.Minute || len(d.told()) > 0 {
			t.Errorf("%+v, gone: %v", s, d.told())
		}
		if n := d.called("main"); n > 12 {
			t.Errorf("%d beats in ten minutes", n)
		}
		if !b.Changed()["main"] || b.Changed()["main"] {
			t.Error("its change is not told once")
		}
		d.set(func() { d.life["main"] = sdk.Alive })
		time.Sleep(time.Minute)
		if s := session(t, b, "main"); s.Life != sdk.Alive || !b.Changed()["main"] {
			t.Errorf("%+v", s)
		}
	})
}

// A session that is gone is looked at ever more rarely, at last each quarter of an
// hour.
func TestGoneSessionIsLookedAtRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.life["main"] = sdk.Gone
		b := beating(t, d)
		time.Sleep(time.Hour)
		if n := d.called("main"); n < 5 || n > 10 {
			t.Errorf("%d beats in the first hour", n)
		}
		if told := d.told(); len(told) == 0 || told[0] != "main v1" {
			t.Errorf("told: %v", told)
		}
		time.Sleep(4 * time.Hour)
		if n := d.called("main"); n < 15 || n > 17 {
			t.Errorf("%d beats in four hours", n)
		}
		d.set(func() { d.version["main"], d.life["main"] = 2, sdk.Alive })
		b.NewToken("main") // a login
		time.Sleep(2 * time.Second)
		if s := session(t, b, "main"); s.Life != sdk.Alive || s.Version != 2 {
			t.Errorf("after a login: %+v", s)
		}
	})
}

// A beat without an answer says nothing of the session. It is repeated sooner, and
// told of when several in a row were lost; a rate limit is kept to.
func TestUnansweredBeats(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		takes       time.Duration
		least, most int // beats in ten minutes
	}{
		"refused connection": {&sdk.Error{Kind: sdk.KindTransient, Message: "no connection"}, 0, 10, 20},
		"no answer":          {nil, time.Hour, 10, 20},
		"a limit":            {&sdk.Error{Kind: sdk.KindRateLimited, Message: "slowly", RetryAfter: 5 * time.Minute}, 0, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(time.Minute, "main")
				b := beating(t, d)
				time.Sleep(time.Minute + time.Second)
				d.called("main")
				d.set(func() { d.err["main"], d.takes = c.err, c.takes })
				time.Sleep(30 * time.Second)
				if s := session(t, b, "main"); s.Unheard != "" {
					t.Errorf("told at once: %+v", s)
				}
				time.Sleep(10 * time.Minute)
				if n := d.called("main"); n < c.least || n > c.most {
					t.Errorf("%d beats in ten minutes", n)
				}
				s := session(t, b, "main")
				if s.Life != sdk.Alive || s.Failures == 0 || s.Error == "" || s.Unheard == "" || len(d.told()) > 0 {
					t.Errorf("%+v", s)
				}
				d.set(func() { d.err["main"], d.takes, d.life["main"] = nil, 0, sdk.Alive })
				time.Sleep(5 * time.Minute)
				if s := session(t, b, "main"); s.Failures > 0 || s.Error != "" || s.Unheard != "" || !s.Silent.IsZero() {
					t.Errorf("answered again: %+v", s)
				}
			})
		})
	}
}

// What is said of a token that is replaced meanwhile counts for nothing, and no beat
// is made while a token is on its way, or is not to be used.
func TestOnlyTheNewestTokenCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.takes, d.replace, d.life["main"] = 5*time.Second, true, sdk.Gone
		b := beating(t, d)
		time.Sleep(3 * time.Second)
		d.set(func() { d.life["main"] = sdk.Gone })
		time.Sleep(30 * time.Second)
		if s := session(t, b, "main"); s.Life != "" || len(d.told()) > 0 {
			t.Errorf("%+v, told: %v", s, d.told())
		}
		d.set(func() { d.busy["main"] = true })
		time.Sleep(10 * time.Second)
		d.called("main")
		time.Sleep(time.Hour)
		if n := d.called("main"); n > 0 {
			t.Errorf("%d beats while an attempt was under way", n)
		}
	})
}

// The next generation goes on at once, and what was known stays so meanwhile.
func TestBeatsOutliveGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		b := newBeats(d, time.Now)
		if s, ok := b.Session("main"); !ok || s.Life != "" {
			t.Errorf("before the provider is known: %+v, %t", s, ok)
		}
		stop := run(t, b, d)
		time.Sleep(time.Second)
		d.set(func() { d.takes = time.Hour })
		time.Sleep(time.Minute) // the second one is in flight
		stop()
		if s := session(t, b, "main"); s.Life != sdk.Alive || s.Failures > 0 {
			t.Errorf("a beat that was given up counts: %+v", s)
		}
		d.set(func() { d.takes = 0 })
		d.called("main")
		run(t, b, d)
		time.Sleep(time.Second)
		if n := d.called("main"); n != 1 {
			t.Errorf("%d beats at the start of the next generation", n)
		}
	})
}

// A panic here ends neither the supervisor nor the beats of others.
func TestPanicStaysWithItsBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main", "other")
		d.life["main"] = "panic"
		b := beating(t, d)
		time.Sleep(10*time.Minute + time.Second)
		if n, m := d.called("other"), d.called("main"); n < 10 || m < 9 {
			t.Errorf("%d beats of the other one, %d of the one that panics", n, m)
		}
		if s := session(t, b, "other"); s.Life != sdk.Alive {
			t.Errorf("%+v", s)
		}
	})
}

// A provider that does not say at first who it is has beats once it does, and none is
// made before tokens may be used.
func TestBeatsBeginWhenTheyCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.mute, d.idle = 5, true
		beating(t, d)
		time.Sleep(2 * time.Minute)
		if n := d.called("main"); n > 0 {
			t.Errorf("%d beats while nothing may be used", n)
		}
		d.set(func() { d.idle = false })
		time.Sleep(time.Second)
		if n := d.called("main"); n != 1 {
			t.Errorf("%d beats", n)
		}
	})
}

// The wall clock, set back in the middle of a beat or ahead, and a machine that sleeps
// stop none of them.
func TestBeatsGoOnWhateverTheClockDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.takes = 5 * time.Second
		var mu sync.Mutex
		var jump time.Duration
		b := newBeats(d, func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(jump) })
		run(t, b, d)
		for _, by := range []time.Duration{-6 * time.Hour, 12 * time.Hour, -time.Minute} {
			time.Sleep(time.Minute - time.Second)
			mu.Lock()
			jump += by
			mu.Unlock()
			d.called("main")
			time.Sleep(10 * time.Minute)
			if n := d.called("main"); n < 9 || n > 13 {
				t.Errorf("%d beats in the ten minutes after %s", n, by)
			}
		}
	})
}

// The broker's pause outlives a generation, and the account whose beat has ended the
// process comes last in the next.
func TestPausesOutliveGenerations(t *testing.T) {
	for name, err := range map[string]error{
		"a limit": &sdk.Error{Kind: sdk.KindRateLimited, Message: "slowly", RetryAfter: 30 * time.Second},
		"a crash": fmt.Errorf("%w: EOF", sdk.ErrConnection),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(time.Minute, "main", "other")
				d.err["main"] = err
				b := newBeats(d, time.Now)
				stop := run(t, b, d)
				time.Sleep(time.Second)
				stop()
				if s, _ := b.Session("main"); name == "a crash" && s.Failures > 0 {
					t.Errorf("a crash counts: %+v", s)
				}
				for range 5 {
					stop = run(t, b, d)
					time.Sleep(time.Second)
					stop()
				}
				if n := d.called("main"); n != 1 {
					t.Errorf("%d beats", n)
				}
				d.set(func() { delete(d.err, "main") })
				run(t, b, d)
				time.Sleep(time.Minute + time.Second)
				if n, m := d.called("main"), d.called("other"); n == 0 || m == 0 {
					t.Errorf("after that %d beats, %d of the other", n, m)
				}
			})
		})
	}
}

// Accounts that hang keep none of the others waiting, and more sessions than can be
// asked in time are told.
func TestCrowd(t *testing.T) {
	for name, c := range map[string]struct {
		accounts, hang int
		takes          time.Duration
		late           bool
	}{
		"some hang": {400, 100, time.Millisecond, false},
		"too many":  {4000, 0, 25 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var names []string
				for n := range c.accounts {
					names = append(names, fmt.Sprintf("a%04d", n))
				}
				d := newDesk(time.Minute, names...)
				d.takes = c.takes
				d.slow = map[string]bool{}
				for n := range c.hang {
					d.slow[names[4*n+1]] = true
				}
				b := beating(t, d)
				time.Sleep(10 * time.Minute)
				for _, name := range names {
					d.called(name)
				}
				time.Sleep(10*time.Minute + time.Second)
				late := 0
				for n, name := range names {
					s := session(t, b, name)
					if s.Unheard != "" && !d.slow[name] {
						late++
					}
					if beats := d.called(name); !d.slow[name] && !c.late && beats < 10 {
						t.Errorf("%d: %d beats in ten minutes beside others that hang", n, beats)
					}
				}
				if (late > 0) != c.late {
					t.Errorf("%d are told to come late", late)
				}
			})
		})
	}
}

// Nobody is called more often than the contract says, whatever the provider says.
func TestLeastKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(60, "main") // nanoseconds
		beating(t, d)
		time.Sleep(time.Minute)
		if n := d.called("main"); n < 5 || n > 7 {
			t.Errorf("%d beats in a minute", n)
		}
	})
}
