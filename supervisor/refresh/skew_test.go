package refresh_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A clock that is wrong all the time harms nothing: a token is issued and dies
// by the same clock. Nor does one that is put right, or goes wrong, while the
// program is down: no dead token is taken for a valid one, and the broker is
// asked no more often than by a right clock.
func TestWrongClock(t *testing.T) {
	for _, wrong := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		t.Run(fmt.Sprint(wrong), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, 20*time.Minute, 24*time.Hour, "one")
				w := newWorld(r)
				w.run(time.Hour)
				inAnHour := r.broker.count()
				w.jumpBy(wrong)
				w.run(time.Hour) // may cost one refresh more

				before := r.broker.count()
				w.run(6 * time.Hour)
				if n := r.broker.count() - before; n > 6*inAnHour+1 {
					t.Errorf("%d refreshes in 6 hours by a wrong clock, %d in one by a right one", n, inAnHour)
				}
				if s := r.status("one"); s.State != refresh.Valid {
					t.Errorf("state %s", s.State)
				}
				for _, jump := range []time.Duration{-wrong, wrong} {
					_ = w.gen.end()
					time.Sleep(10 * time.Minute)
					w.jumpBy(jump)
					w.restart()
					w.gen = w.start()
					before := r.broker.count()
					w.run(time.Hour)
					if n := r.broker.count() - before; n > inAnHour+1 {
						t.Errorf("%d refreshes in the hour after the clock moved by %s, %d in one without", n, jump, inAnHour)
					}
				}
				if w.logins > 0 {
					t.Error("it cost a login")
				}
				_ = w.gen.end()
			})
		})
	}
}

// The broker's clock is what tells that ours is wrong; a person is told once.
func TestWrongClockIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		var log bytes.Buffer
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		r.restart()
		g := r.start()
		for _, tt := range []struct {
			ours time.Duration // is ahead by
			told int           // in all
			says string
		}{
			{10 * time.Second, 0, ""},
			{-time.Hour, 1, "1h0m0s behind"},
			{-time.Hour - 10*time.Second, 1, ""},
			{-time.Millisecond, 1, ""},
			{0, 1, ""}, // or the server does not say
			{2 * time.Hour, 2, "2h0m0s ahead"},
		} {
			r.broker.setSkew(-tt.ours)
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := strings.Count(log.String(), "clock is"); n != tt.told || !strings.Contains(log.String(), tt.says) {
				t.Errorf("ours is ahead by %s: told %d times, want %d and %q:\n%s", tt.ours, n, tt.told, tt.says, &log)
			}
		}
		_ = g.end()
	})
}
