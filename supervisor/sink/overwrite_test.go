package sink_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// What a person wants written over is what stands there when he says so, by the
// version that is newest then.
func TestForceOutlivesNothingThatAPersonSaw(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(out *shelf, b *bench)
		want      int // deliveries of what is newest, since
	}{
		"nothing else comes":       {func(*shelf, *bench) {}, 1},
		"another token comes":      {func(out *shelf, _ *bench) { out.see("third", nil) }, 0},
		"a version comes":          {func(_ *shelf, b *bench) { b.refresh("a") }, 0},
		"it can't be read":         {func(out *shelf, _ *bench) { out.see("other", syscall.EIO) }, 0},
		"what was there is gone":   {func(out *shelf, _ *bench) { out.see("", nil) }, 1},
		"it goes, a version comes": {func(out *shelf, b *bench) { out.see("", nil); b.refresh("a") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &shelf{}
				b := guarded(t, out, newRecords())
				out.see("other", nil)
				b.refresh("a")
				pass(time.Second)
				full := errors.New("no space left on device")
				out.set(func(context.Context, sink.Delivery) error { return full })
				if n, err := b.Overwrite(t.Context(), "a"); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				pass(time.Minute)
				if out.tried() == 0 {
					t.Error("it was not tried")
				}
				c.meanwhile(out, b)
				out.set(nil)
				pass(time.Hour)
				if n := len(out.versions("a")); n != c.want {
					t.Errorf("%d deliveries, want %d", n, c.want)
				}
			})
		})
	}
}

// A token that has expired is delivered to nobody: who wants it delivered is told, and
// what stands there is guarded against the next one as ever.
func TestAnExpiredTokenIsNotForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shelf{}
		b := guarded(t, out, newRecords())
		out.see("other", nil)
		b.refresh("a")
		pass(72 * time.Hour)
		for what, deliver := range map[string]func(context.Context, string) (int, error){"redeliver": b.Redeliver, "overwrite": b.Overwrite} {
			if n, err := deliver(t.Context(), "a"); n != 0 || !errors.Is(err, sink.ErrExpired) {
				t.Errorf("%s: %d, %v", what, n, err)
			}
		}
		b.refresh("a")
		pass(time.Hour)
		if n := out.tried(); n != 0 {
			t.Errorf("it was written over %d times", n)
		}
	})
}

// A destination that hangs is not written over by somebody who can't see it.
func TestForceAtADestinationThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shelf{}
		b := guarded(t, out, newRecords())
		b.refresh("a")
		pass(time.Second)
		hangs := make(chan struct{})
		out.hangs.Store(&hangs)
		time.AfterFunc(time.Minute, func() { close(hangs) })
		began := time.Now()
		if _, err := b.Overwrite(t.Context(), "a"); err == nil || time.Since(began) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		pass(2 * time.Minute)
	})
}
