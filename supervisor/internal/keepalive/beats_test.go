package keepalive_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

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
				if s.Life != sdk.Alive || s.Failures == 0 || s.LastError == "" || s.Unheard == "" || len(d.told()) > 0 {
					t.Errorf("%+v", s)
				}
				d.set(func() { d.err["main"], d.takes, d.life["main"] = nil, 0, sdk.Alive })
				time.Sleep(5 * time.Minute)
				if s := session(t, b, "main"); s.Failures > 0 || s.LastError != "" || s.Unheard != "" || !s.Silent.IsZero() {
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
		time.Sleep(sdk.LeastKeepalive)
		if n := d.called("main"); n != 1 {
			t.Errorf("%d beats at the start of the next generation", n)
		}
	})
}
