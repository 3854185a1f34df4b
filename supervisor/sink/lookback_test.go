package sink_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// emptied is a receiver that can be asked, and that holds nothing once it is
// emptied, until the next delivery.
type emptied struct {
	receiver
	lost atomic.Bool
}

func (e *emptied) Holds(context.Context, readback.Question) (readback.Held, error) {
	if e.lost.Load() {
		return readback.Held{}, sdk.ErrNothingStored
	}
	return readback.Held{Untouched: true}, nil
}

// What is lost of many accounts at once is delivered once more at the next look,
// and that costs a look at each of them, not at all of them for each.
func TestALookCostsNoListForEachAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 500
		r, out := newRecords(), &emptied{}
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, r)
		for i := range accounts {
			b.refresh(fmt.Sprint("a", i))
		}
		pass(time.Minute)
		r.set(func(r *records) { r.lists = 0 })
		out.lost.Store(true)
		b.Look()
		pass(time.Minute)
		if n := out.tried(); n != 2*accounts || r.lists > 1 {
			t.Errorf("%d deliveries and %d lists of all records; want %d and none for each", n, r.lists, 2*accounts)
		}
	})
}

// What was in the way of an account's file may be gone when there is news of it: its
// delivery waits for no back-off then, and yet not every bit of news means a try.
func TestNewsOfAnAccountCutsItsBackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &teller{holds: map[string]uint64{}}
		out.set(func(context.Context, sink.Delivery) error { return errors.New("there is no folder: create it") })
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
		b.refresh("a")
		b.looking(time.Hour)
		before := out.tried()
		for range 600 {
			out.news("a")
			pass(time.Second)
		}
		if n := out.tried() - before; n > 60 {
			t.Errorf("%d tries in ten minutes of news each second", n)
		}
		b.looking(time.Hour)
		out.set(nil)
		out.news("a")
		pass(2 * time.Second)
		if b.Status("a").Version != 1 {
			t.Error("it waits for the end of the back-off")
		}
	})
}

// What a delivery has written before it failed is news of its own making, and makes
// it no faster.
func TestItsOwnNewsCutsNoBackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &teller{holds: map[string]uint64{}}
		out.set(func(_ context.Context, d sink.Delivery) error {
			out.change(func() { out.holds["a"] = d.Version })
			out.news("a")
			return errors.New("the file is written, but the program that reads it could not be told")
		})
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
		b.refresh("a")
		pass(9 * time.Second) // after none, 5 and 10 s
		if n := out.tried(); n != 2 {
			t.Errorf("%d tries in 9 s", n)
		}
		b.looking(time.Hour)
		if n := out.tried(); n > 80 {
			t.Errorf("%d tries in an hour, as if there were no back-off", n)
		}
	})
}

// dated is a receiver that is a file: when it was changed last counts, by the clock of
// the machine.
type dated struct {
	receiver
	back    atomic.Int64 // by how much that clock was set back
	changed time.Time
	version uint64 // 0: it is damaged
}

func (f *dated) wall() time.Time { return time.Now().Add(-time.Duration(f.back.Load())) }

func (f *dated) put(version uint64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version, f.changed = version, at
}

func (f *dated) Deliver(ctx context.Context, d sink.Delivery) error {
	defer f.put(d.Version, f.wall())
	return f.receiver.Deliver(ctx, d)
}

func (f *dated) Holds(_ context.Context, q readback.Question) (readback.Held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := readback.Held{At: f.changed}
	switch {
	case !q.Since.IsZero() && !f.changed.Round(0).After(q.Since):
		held.Untouched = true
	case f.version == 0:
		return held, format.ErrUnreadable
	default:
		held.Document.RefreshToken = sdk.NewSecret(fmt.Sprintf("refresh-a-%d", f.version))
		held.Document.AccessToken = sdk.NewSecret(fmt.Sprintf("access-a-%d", f.version))
	}
	return held, nil
}

// What is put there is put right, whatever the clock did since the last look: a time
// that lies before that look, or after now, says nothing then.
func TestAFileIsPutRightWhenTheClockWasSetBack(t *testing.T) {
	for name, c := range map[string]struct {
		back    time.Duration
		version uint64
		ahead   time.Duration
	}{
		"an older copy after two hours back": {back: 2 * time.Hour, version: 1},
		"an older copy after 40 s back":      {back: 40 * time.Second, version: 1},
		"a damaged one of tomorrow":          {ahead: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &dated{}
				b := start(t, sink.WorkerConfig{Sink: out, Wall: out.wall, ReadBack: sink.ReadBack{Regularly: true}}, newRecords())
				b.refresh("a")
				pass(time.Minute)
				b.refresh("a")
				b.looking(time.Minute)
				before := out.tried()
				out.back.Store(int64(c.back))
				pass(time.Second)
				out.put(c.version, out.wall().Add(c.ahead))
				pass(30 * time.Second)
				b.looking(2 * time.Minute)
				if n := out.tried() - before; n != 1 || out.version != 2 {
					t.Errorf("%d deliveries, and it holds version %d", n, out.version)
				}
			})
		})
	}
}
