package sharing

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// slow is a file in memory of which each call takes a while, and whose lock keeps one
// holder at a time.
type slow struct {
	*memory
	takes func() time.Duration
	lock  chan struct{}
	taken atomic.Int32 // how often the lock was
	holds atomic.Int32 // who has it, by that number; 0: nobody
	torn  atomic.Int32 // calls that had no lock, or another one at their end
	kept  atomic.Bool
}

func newSlow(takes func() time.Duration) *slow {
	return &slow{memory: &memory{}, takes: takes, lock: make(chan struct{}, 1)}
}

func (f *slow) wait() { time.Sleep(f.takes()) }

func (f *slow) Lock(context.Context) (func() error, error) {
	f.wait()
	f.lock <- struct{}{}
	f.holds.Store(f.taken.Add(1))
	return sync.OnceValue(func() error {
		f.wait()
		f.holds.Store(0)
		<-f.lock
		return nil
	}), nil
}

// underLock takes its time, and misses a lock that is not held all the while.
func (f *slow) underLock() {
	before := f.holds.Load()
	f.wait()
	if before == 0 || f.holds.Load() != before {
		f.torn.Add(1)
	}
}

func (f *slow) Read() (format.Document, error)       { f.wait(); return format.Document{}, nil }
func (f *slow) Replaceable() error                   { f.wait(); return nil }
func (f *slow) Prove() error                         { f.underLock(); return nil }
func (f *slow) Write(format.Document) error          { f.underLock(); return nil }
func (f *slow) Mend(format.Document) (string, error) { f.underLock(); return "", nil }
func (f *slow) Keep(time.Duration)                   { f.underLock(); f.kept.Store(true) }
func (f *slow) Inherit(*os.File, time.Duration) bool { f.wait(); return false }

// A disk that takes its time, and a lock that another program has for as long as a file
// waits for one, are not told as a disk that does not answer.
func TestWhatIsSlowAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		f := newBounded(newSlow(func() time.Duration { return time.Duration(takes.Load()) }), "/bots/t.json", time.Now, func() { t.Error("told") })
		takes.Store(int64(31 * time.Second)) // which is how long a file waits, and finds out who has it
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		takes.Store(int64(25 * time.Second))
		if err := errors.Join(f.Prove(), f.Write(format.Document{}), f.Replaceable()); err != nil {
			t.Error(err)
		}
		takes.Store(int64(9 * time.Second))
		if _, err := f.Read(); err != nil {
			t.Error(err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	})
}

// However long each call takes, whatever is written is written under one lock, and in
// the end the lock is free and the disk known to answer.
func TestEachWriteHasItsLock(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random, turns := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			bounds := []time.Duration{answersWithin, writesWithin, locksWithin, 0, time.Second, time.Minute}
			file := newSlow(func() time.Duration { // often just as long as somebody waits
				mu.Lock()
				defer mu.Unlock()
				return bounds[random.IntN(len(bounds))] + time.Duration(random.IntN(3)-1)*time.Nanosecond*time.Duration(random.IntN(2))
			})
			var answers atomic.Int32
			f := newBounded(file, "/bots/t.json", time.Now, func() { answers.Add(1) })
			peeks, end := context.WithCancel(t.Context())
			go func() {
				for peeks.Err() == nil {
					_, _ = f.Read()
					time.Sleep(time.Second)
				}
			}()
			for range 40 { // by turns, as who has the account's lease
				release, err := f.Lock(t.Context())
				if err == nil {
					_, _ = f.Read()
					_ = f.Prove()
					_ = f.Write(format.Document{})
					if turns.IntN(4) == 0 {
						f.Keep(time.Minute)
					}
					_ = release()
				}
				time.Sleep(5 * time.Second)
			}
			end()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if n := file.torn.Load(); n > 0 {
				t.Errorf("seed %d: %d calls were made without their lock", seed, n)
			}
			if file.holds.Load() != 0 || f.isKnownSilent() || f.locked != 0 || len(f.owed) > 0 || file.taken.Load() == 0 {
				t.Errorf("seed %d: the lock is held by %d of %d, silent: %t, %d under it, %d owed", seed, file.holds.Load(), file.taken.Load(), f.isKnownSilent(), f.locked, len(f.owed))
			}
		})
	}
}

// A lock is kept for an attempt that nobody knows the end of although the disk hangs, and
// given back only then.
func TestALockIsKeptOnADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		file := newSlow(func() time.Duration { return time.Duration(takes.Load()) })
		f := newBounded(file, "/bots/t.json", time.Now, func() {})
		release, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		takes.Store(int64(time.Minute))
		if _, err := f.Read(); !errors.Is(err, ErrSilent) {
			t.Errorf("read: %v", err)
		}
		f.Keep(time.Hour)
		if err := release(); !errors.Is(err, ErrSilent) {
			t.Errorf("given back: %v", err)
		}
		takes.Store(0)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !file.kept.Load() || file.torn.Load() > 0 || file.holds.Load() != 0 {
			t.Errorf("kept: %t, without the lock: %d, held by %d", file.kept.Load(), file.torn.Load(), file.holds.Load())
		}
	})
}

// A lock that another process has left is not given back before it is known whose it is:
// it may be that of an attempt whose end nobody knows. The disks are waited for once.
func TestALockThatIsLeftOutlastsADiskThatHangs(t *testing.T) {
	for name, takes := range map[string]time.Duration{"the disks hang": time.Minute, "they answer": 0} {
		synctest.Test(t, func(t *testing.T) {
			all := make(Shares, 3)
			for i := range all {
				all[i] = share(&memory{})
				all[i].file.File = newSlow(func() time.Duration { return takes })
			}
			lock, err := os.Create(filepath.Join(t.TempDir(), "left.lock"))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			all.inherit(lock)
			if took := time.Since(began); took > answersWithin {
				t.Errorf("%s: waited for %s", name, took)
			}
			if closed := lock.Close() != nil; closed != (takes == 0) {
				t.Errorf("%s: closed already: %t", name, closed)
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		})
	}
}

// Of a disk that has answered meanwhile no trouble stays told.
func TestATroubleThatIsOverIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
		facts := bus.NewFacts()
		h := &hanging{memory: &memory{}, write: make(chan struct{})}
		s := shareWith(h, bus, facts)
		lock(t, s)
		told := func() bool { return len(facts.All()) > 0 }
		if s.Write(record()) || !told() {
			t.Error("a write that hangs is not told")
		}
		err := s.file.Write(format.Document{})
		close(h.write)
		synctest.Wait()
		if told() {
			t.Error("it is told although the disk answers")
		}
		DiskTrouble(s, err, event.Event{Message: err.Error()}) // who has waited comes late
		if told() {
			t.Error("it is told when it is over")
		}
	})
}
