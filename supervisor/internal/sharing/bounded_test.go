package sharing

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// hanging is a file in memory of which calls hang until they are let go.
type hanging struct {
	*memory
	lock, write chan struct{} // nil: it does not hang
	released    atomic.Int32
}

func (h *hanging) Lock(context.Context) (func() error, error) {
	if h.lock != nil {
		<-h.lock
	}
	return func() error { h.released.Add(1); return nil }, nil
}

func (h *hanging) Write(d format.Document) error {
	if h.write != nil {
		<-h.write
	}
	return h.memory.Write(d)
}

func bound(h *hanging) (f *bounded, answered *atomic.Int32) {
	answered = &atomic.Int32{}
	return newBounded(h, "/bots/t.json", time.Now, func() { answered.Add(1) }), answered
}

// A lock that comes when nobody waits for it any more is given back.
func TestALateLockIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{memory: &memory{}, lock: make(chan struct{})}
		f, answered := bound(h)
		began := time.Now()
		if _, err := f.Lock(t.Context()); !errors.Is(err, ErrSilent) || time.Since(began) != locksWithin {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		began = time.Now()
		for range 100 {
			if _, err := f.Lock(t.Context()); !errors.Is(err, ErrSilent) {
				t.Errorf("once more: %v", err)
			}
			if _, err := f.Read(); !errors.Is(err, ErrSilent) {
				t.Errorf("read: %v", err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("a disk that is known not to answer was waited for: %s", took)
		}
		close(h.lock)
		synctest.Wait()
		if n := h.released.Load(); n != 1 || answered.Load() != 1 {
			t.Errorf("given back %d times, told %d times that the disk answers", n, answered.Load())
		}
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := release(); err != nil || h.released.Load() != 2 {
			t.Errorf("given back %d times, %v", h.released.Load(), err)
		}
	})
}

// Who has the lock, and has spent what stands in the file, brings the next token there
// though a look beside hangs: otherwise the lock would be given back over a dead one.
func TestWhatIsOwedUnderTheLockIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{memory: &memory{}}
		f, _ := bound(h)
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		look := make(chan struct{})
		hung := f.asked(call{within: answersWithin}, func() error { <-look; return nil })
		if _, err := f.Read(); !errors.Is(hung, ErrSilent) || !errors.Is(err, ErrSilent) {
			t.Errorf("the look: %v, another one: %v", hung, err)
		}
		if _, err := f.readLocked(); errors.Is(err, ErrSilent) {
			t.Error(err)
		}
		if err := f.Write(format.Document{}); err != nil || h.writes != 1 {
			t.Errorf("written %d times: %v", h.writes, err)
		}
		h.write = make(chan struct{})
		for range 2 { // of which the second would come over what the first one writes, or under it
			if err := f.Write(format.Document{}); !errors.Is(err, ErrSilent) {
				t.Errorf("a write that hangs: %v", err)
			}
		}
		close(h.write)
		synctest.Wait()
		if err := release(); err != nil || h.released.Load() != 1 || h.writes != 2 {
			t.Errorf("written %d times, given back %d times: %v", h.writes, h.released.Load(), err)
		}
		close(look)
	})
}

// A lock is given back when what hangs under it has come back, and not before.
func TestALockStaysWithAWriteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{memory: &memory{}, write: make(chan struct{})}
		f, answered := bound(h)
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write(format.Document{}); !errors.Is(err, ErrSilent) {
			t.Errorf("a write that hangs: %v", err)
		}
		if err := release(); !errors.Is(err, ErrSilent) || h.released.Load() != 0 {
			t.Errorf("given back %d times while a write is on its way (%v)", h.released.Load(), err)
		}
		time.Sleep(time.Hour)
		if _, err := f.Lock(t.Context()); !errors.Is(err, ErrSilent) || answered.Load() != 0 {
			t.Errorf("an hour later: %v", err)
		}
		close(h.write)
		synctest.Wait()
		if h.released.Load() != 1 || answered.Load() != 1 || h.writes != 1 {
			t.Errorf("given back %d times, told %d times, written %d times", h.released.Load(), answered.Load(), h.writes)
		}
	})
}

// Who waits for a lock waits no longer than until the disk is known not to answer.
func TestADeadDiskIsFoundOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{memory: &memory{}, lock: make(chan struct{}), write: make(chan struct{})}
		f, answered := bound(h)
		go func() { _ = f.Write(format.Document{}) }()
		began := time.Now()
		if _, err := f.Lock(t.Context()); !errors.Is(err, ErrSilent) || time.Since(began) != writesWithin {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		close(h.lock)
		synctest.Wait()
		if answered.Load() != 0 {
			t.Error("one call hangs still")
		}
		close(h.write)
		synctest.Wait()
		if h.released.Load() != 1 || answered.Load() != 1 {
			t.Errorf("given back %d times, told %d times", h.released.Load(), answered.Load())
		}
	})
}
