package refresh_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// fullFile is a shared file that can't be replaced for a while.
type fullFile struct {
	sharing.File
	full *atomic.Bool
}

var errFull = errors.New("shared file tokens.json can't be replaced: free some space")

func (f fullFile) Prove() error {
	if f.full.Load() {
		return errFull
	}
	return f.File.Prove()
}

func (f fullFile) Replaceable() error {
	if f.full.Load() {
		return errFull
	}
	return f.File.Replaceable()
}

func (f fullFile) TakeOut(dead sdk.Secret) (bool, error) {
	if f.full.Load() {
		return false, errFull
	}
	return f.File.TakeOut(dead)
}

func newFullRig(t *testing.T) (*sharedRig, *atomic.Bool) {
	r := newSharedRig(t)
	full := &atomic.Bool{}
	r.accounts[0].Shared = fullFile{r.accounts[0].Shared, full}
	r.restart()
	return r, full
}

// A token whose successor the other programs would not get is not spent: it is
// told why, tried again ever more slowly, and refreshed when it can be written.
func TestNothingIsSpentThatTheSharedFileCantTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, full := newFullRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(10 * time.Minute)
		full.Store(true)
		time.Sleep(time.Hour) // long after the access token is dead
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests", n)
		}
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil {
			t.Errorf("an attempt was announced: %t, %v", open, err)
		}
		s := r.status("one")
		if s.Record.Health.Failures == 0 || !strings.Contains(s.Record.Health.LastError, "free some space") || s.Due.IsZero() {
			t.Errorf("the status does not say why: %+v, due %s", s.Record.Health, s.Due)
		}
		if n := r.count(event.DiskTrouble); n < 10 || n > 80 {
			t.Errorf("told %d times in an hour", n)
		}
		r.met(event.DiskTrouble)
		full.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Error("the file does not hold the new token")
		}
		r.met()
		if f := r.status("one").Record.Health.Failures; f != 0 {
			t.Errorf("%d failures still count", f)
		}
		_ = g.end()
	})
}

// A file that can't be replaced is told of when a generation starts, and long
// before the token is needed.
func TestASharedFileThatCantBeReplacedIsToldAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, full := newFullRig(t)
		defer r.watch()()
		full.Store(true)
		g := r.start()
		synctest.Wait()
		if n := r.count(event.DiskTrouble); n != 1 {
			t.Errorf("told %d times", n)
		}
		r.met(event.DiskTrouble)
		if s := r.status("one"); s.State != refresh.Valid {
			t.Errorf("state %s", s.State)
		}
		_ = g.end()
	})
}
