package refresh_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// newSteeredRig is one whose account names a file that steers its provider, which
// others can change while open is set; the account beside it names none.
func newSteeredRig(t *testing.T) (*rig, *atomic.Bool) {
	r, open := newRig(t, 20*time.Minute, "one", "other"), &atomic.Bool{}
	r.accounts[0].Settings = map[string]string{"credentials": "/etc/broker/key.json"}
	r.steered = func(path string) error {
		if path == "/etc/broker/key.json" && open.Load() {
			return errors.New(path + " can be changed by everybody; chmod o-w it")
		}
		return nil
	}
	r.restart()
	return r, open
}

// A provider that others can steer gets no refresh token: none is announced for the
// account that names the file, it is told why, and goes on by itself when that is put
// right. What is stored, and other accounts, are not touched.
func TestNothingIsSentThroughAProviderThatOthersSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, open := newSteeredRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(10 * time.Minute)
		open.Store(true)
		before := r.record("one")
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if now := r.record("one"); now.Version != before.Version || !now.Token.RefreshToken.Equal(before.Token.RefreshToken) {
			t.Errorf("version %d became %d", before.Version, now.Version)
		}
		if r.record("other").Version < 2 {
			t.Error("the other account was not refreshed")
		}
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil {
			t.Errorf("an attempt was announced: %t, %v", open, err)
		}
		s := r.status("one")
		if !strings.Contains(s.Record.Health.LastError, "its setting credentials is refused: /etc/broker/key.json") || s.Due.IsZero() {
			t.Errorf("the status does not say why: %+v, due %s", s.Record.Health, s.Due)
		}
		if n := r.count(event.Untrusted); n < 3 || n > 60 {
			t.Errorf("told %d times in half an hour", n)
		}
		r.met(event.Untrusted)
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7}); !errors.Is(err, refresh.ErrUntrusted) {
			t.Errorf("a login was begun: %v", err)
		}
		open.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := r.record("one"); got.Version != 2 || got.Origin != store.OriginRefresh || got.Health.Failures != 0 {
			t.Errorf("version %d, %s, %+v", got.Version, got.Origin, got.Health)
		}
		r.met()
		_ = g.end()
	})
}

// What was sent is heard out although the file has become others' meanwhile.
func TestAnOpenAttemptIsHeardOutThoughOthersSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, open := newSteeredRig(t)
		g := r.start()
		r.broker.next("one", fault{before: func() { open.Store(true) }, die: spooled, kill: func() { g.kill() }})
		time.Sleep(15*time.Minute + time.Second)
		_ = g.died()
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := r.record("one"); got.Version != 2 {
			t.Errorf("version %d: the answer in the spool was not taken", got.Version)
		}
		r.met(event.Untrusted)
		_ = g.end()
	})
}

// What stands in the way of a refresh that is due hours later is not told to be over
// while it is not, and is over by itself when it is put right.
func TestWhatOthersSteerIsToldAsLongAsItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 8*time.Hour, "one")
		r.accounts[0].Settings = map[string]string{"credentials": "/etc/broker/key.json"}
		var mended atomic.Bool
		r.steered = func(path string) error {
			if mended.Load() {
				return nil
			}
			return errors.New(path + " can be changed by everybody; chmod o-w it")
		}
		r.restart()
		g := r.start()
		for range 3 * 60 * 2 {
			time.Sleep(30 * time.Second)
			r.keeper.Look()
			r.met(event.Untrusted)
		}
		mended.Store(true)
		for range 2 * 30 {
			time.Sleep(30 * time.Second)
			r.keeper.Look()
		}
		r.met()
		_ = g.end()
	})
}

// What was put right while nothing ran is over at the start: nobody is told for an
// hour more of what is not.
func TestWhatOthersSteeredIsOverAtTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, open := newSteeredRig(t)
		open.Store(true)
		g := r.start()
		synctest.Wait()
		told := r.keeper.Facts()
		_ = g.end()
		open.Store(false)
		r.restart()
		for _, fact := range told {
			r.keeper.Carry(fact)
		}
		r.met(event.Untrusted)
		g = r.start()
		synctest.Wait()
		r.met()
		_ = g.end()
	})
}

// It is told at the start, long before the token is needed, and why an account that
// is past its due moment waits.
func TestWhatOthersSteerIsToldAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, open := newSteeredRig(t)
		defer r.watch()()
		open.Store(true)
		g := r.start()
		synctest.Wait()
		if n := r.count(event.Untrusted); n != 1 || r.status("one").State != refresh.Valid {
			t.Errorf("told %d times; %s", n, r.status("one").State)
		}
		r.met(event.Untrusted)
		time.Sleep(25 * time.Minute)
		if s := r.status("one"); s.Waiting != promise.Untrusted || !strings.Contains(s.WaitingText, "chmod o-w") {
			t.Errorf("it waits for %q: %s", s.Waiting, s.WaitingText)
		}
		_ = g.end()
	})
}
