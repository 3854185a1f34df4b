package refresh_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A first mint that fails is counted and tried again like any attempt.
func TestFirstMintFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, sdk.RepeatHarmless)}
		r := newMintRig(t, b, b.lifetime)
		defer r.watch()()
		down := func(*spool.Slot) error { return &sdk.Error{Kind: sdk.KindTransient, Message: "it is down"} }
		b.next(down, down, down)
		gen := r.start()
		time.Sleep(3 * time.Second)
		if s := r.status("main"); s.Record.Health.Failures < 2 || s.Record.Health.LastKind != sdk.KindTransient || s.Record.Health.LastError == "" || s.Due.IsZero() {
			t.Errorf("%s, %+v, due %s", s.State, s.Record.Health, s.Due)
		}
		time.Sleep(time.Minute)
		r.works(&b.minter, "in the end")
		if n := r.count(event.RefreshFailed); n != 3 || b.requests() != 4 {
			t.Errorf("%d failures, %d requests", n, b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// The first key is presented once if it is refused, however often everything is
// started anew, until another one is configured or a person asks for it.
func TestFirstKeyRefusedOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, "")}
		r := newMintRig(t, b, b.lifetime)
		b.takes("another")
		again := func(want int, when string) {
			t.Helper()
			for range 5 {
				gen := r.start()
				time.Sleep(time.Minute)
				s := r.status("main")
				if s.State != refresh.NeedsLogin || b.requests() != want || !strings.Contains(s.Record.Health.LastError, "the key is not known") {
					t.Errorf("%s: %s, presented %d times, want %d (%+v)", when, s.State, b.requests(), want, s.Record.Health)
				}
				if err := gen.end(); err != nil {
					t.Error(err)
				}
				r.restart()
			}
		}
		again(1, "refused")
		gen := r.start()
		synctest.Wait()
		if _, err := r.keeper.Refresh(t.Context(), "main", true); err == nil || !strings.Contains(err.Error(), "client_secret") {
			t.Error(err)
		}
		b.next(func(*spool.Slot) error { return unavailable })
		b.takes("the-key")
		if _, err := r.keeper.Refresh(t.Context(), "main", true); err == nil {
			t.Error("nothing is wrong")
		}
		b.takes("another")
		_ = gen.end()
		r.restart()
		again(3, "asked for twice")

		r.keyed("another")
		gen = r.start()
		synctest.Wait()
		r.works(&b.minter, "with the other key")
		if err := gen.end(); err != nil {
			t.Error(err)
		}
		r.keyed("the-key") // which the store knew as refused before it had a token
		gen = r.start()
		time.Sleep(50 * time.Minute)
		if b.requests() != 5 {
			t.Errorf("the first key was presented %d times", b.requests()-4)
		}
		_ = gen.end()
	})
}
