package keepalive_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
)

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

// A clock that is set ahead, or a machine that has slept, is no crowd.
func TestJumpOfTheClockIsNoCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		var mu sync.Mutex
		var jump time.Duration
		b := newBeats(d, func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(jump) })
		run(t, b, d)
		time.Sleep(30 * time.Second)
		mu.Lock()
		jump = 8 * time.Hour
		mu.Unlock()
		time.Sleep(20 * time.Second)
		if n := d.called("main"); n != 2 {
			t.Errorf("%d beats", n)
		}
		if s := session(t, b, "main"); s.Unheard != "" {
			t.Errorf("one account: %s", s.Unheard)
		}
	})
}

// An attempt that is under way for a moment costs no more than a cadence.
func TestAttemptUnderWayCostsOneBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10*time.Second, "main")
		beating(t, d)
		time.Sleep(9500 * time.Millisecond)
		d.called("main")
		d.set(func() { d.busy["main"] = true })
		time.Sleep(time.Second)
		d.set(func() { d.busy["main"] = false }) // it has failed: no new token comes
		time.Sleep(20 * time.Second)
		if n := d.called("main"); n != 2 {
			t.Errorf("%d beats in two cadences", n)
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
				if s, _ := b.Session("main"); name == "a crash" && (s.Failures != 1 || s.Unheard != "") {
					t.Errorf("one crash: %+v", s)
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

// Nobody is called more often than the contract says, whatever the provider says, not
// after a failure, with a new token, or in the next generation.
func TestLeastKeepalive(t *testing.T) {
	for name, c := range map[string]struct {
		err                    error
		generations, newTokens bool
	}{
		"nanoseconds": {},
		"failures":    {err: &sdk.Error{Kind: sdk.KindTransient, Message: "HTTP 503"}},
		"generations": {generations: true},
		"new tokens":  {newTokens: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(60, "main") // nanoseconds
				d.err["main"] = c.err
				b := newBeats(d, time.Now)
				stop := run(t, b, d)
				for n := range 30 {
					time.Sleep(2 * time.Second)
					if c.generations {
						stop()
						stop = run(t, b, d)
					}
					if c.newTokens {
						d.set(func() { d.version["main"] = uint64(n + 2) })
						b.NewToken("main")
					}
				}
				if n := d.called("main"); n < 5 || n > 7 {
					t.Errorf("%d beats in a minute", n)
				}
			})
		})
	}
}

// The longest cadence is a day, also where a provider says more than a clock can hold.
func TestRarestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(math.MaxInt64, "main")
		b := beating(t, d)
		time.Sleep(5*24*time.Hour - time.Hour)
		if n := d.called("main"); n != 5 {
			t.Errorf("%d beats in five days", n)
		}
		if s := session(t, b, "main"); s.Unheard != "" {
			t.Errorf("%+v", s)
		}
	})
}

// Generations that end soon leave nobody out.
func TestShortGenerationsReachEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 100 {
			names = append(names, fmt.Sprintf("a%02d", n))
		}
		d := newDesk(10*time.Minute, names...)
		b := newBeats(d, time.Now)
		for range 6 { // an hour
			for range 5 {
				stop := run(t, b, d)
				time.Sleep(2 * time.Minute)
				stop()
			}
			for _, name := range names {
				if d.called(name) == 0 {
					t.Errorf("%s had no beat for a cadence", name)
				}
			}
		}
	})
}

// A session that is gone is spared by the next generations too.
func TestGoneSessionIsSparedByGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.life["main"] = sdk.Gone
		b := newBeats(d, time.Now)
		for range 120 { // an hour
			stop := run(t, b, d)
			time.Sleep(30 * time.Second)
			stop()
		}
		if n := d.called("main"); n < 5 || n > 10 {
			t.Errorf("%d beats in the first hour", n)
		}
		d.set(func() { d.version["main"], d.life["main"] = 2, sdk.Alive })
		b.NewToken("main") // while no process runs
		run(t, b, d)
		time.Sleep(time.Second)
		if s := session(t, b, "main"); s.Life != sdk.Alive || s.Version != 2 {
			t.Errorf("after a login: %+v", s)
		}
	})
}

// An account that had one bad answer does not wait behind those that hang, and each of
// those is asked in its turn and told of.
func TestOneBadAnswerBesideOthersThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 400 {
			names = append(names, fmt.Sprintf("a%03d", n))
		}
		d := newDesk(time.Minute, names...)
		d.slow = map[string]bool{}
		for n := range 300 {
			d.slow[names[n]] = true
		}
		b := beating(t, d)
		time.Sleep(20 * time.Minute)
		for _, name := range names[:300] {
			if n := d.called(name); n < 4 || session(t, b, name).Unheard == "" {
				t.Errorf("%s: %d beats in twenty minutes, %+v", name, n, session(t, b, name))
			}
		}
		well := names[399]
		d.set(func() { d.err[well] = &sdk.Error{Kind: sdk.KindTransient, Message: "HTTP 503"} })
		for session(t, b, well).Failures == 0 {
			time.Sleep(time.Second)
		}
		d.set(func() { delete(d.err, well) })
		began := time.Now()
		for session(t, b, well).Failures > 0 && time.Since(began) < 2*time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("its next beat came after %s", took)
		}
	})
}

// A disk that does not answer keeps only those accounts from being asked that need it,
// and is told of.
func TestDeadDiskHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 200 {
			names = append(names, fmt.Sprintf("a%03d", n))
		}
		d := newDesk(time.Minute, names...)
		d.unseen = map[string]error{}
		for n := range 70 {
			d.unseen[names[n]] = errors.New("its disk does not answer")
		}
		b := beating(t, d)
		time.Sleep(10 * time.Minute)
		for n, name := range names {
			s := session(t, b, name)
			if calls := d.called(name); n < 70 && (calls > 0 || s.Unheard != "its disk does not answer") || n >= 70 && (calls < 10 || s.Unheard != "") {
				t.Errorf("%s: %d beats in ten minutes, %+v", name, calls, s)
			}
		}
	})
}

// A process that answers no beat is looked at more closely.
func TestHangAsksForAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		var probes atomic.Int32
		c := configOf(d, time.Now, "main")
		c.Probe = func() { probes.Add(1) }
		b := keepalive.New(c)
		run(t, b, d)
		time.Sleep(30 * time.Second)
		if n := probes.Load(); n > 0 {
			t.Errorf("%d probes of one that answers", n)
		}
		d.set(func() { d.takes = time.Hour })
		time.Sleep(time.Minute + time.Second)
		if n := probes.Load(); n != 1 {
			t.Errorf("%d probes", n)
		}
	})
}
