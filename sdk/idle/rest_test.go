package idle

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// settings are what Rest changes in the runtime.
type settings struct {
	percent, procs int
	limit          int64
}

// current reads the settings by setting them: what another goroutine changes
// meanwhile is lost.
func current() settings {
	s := settings{percent: debug.SetGCPercent(-1), procs: runtime.GOMAXPROCS(0), limit: debug.SetMemoryLimit(-1)}
	debug.SetGCPercent(s.percent)
	return s
}

// untuned makes the test independent of the environment that it runs in.
func untuned(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS"} {
		t.Setenv(name, "")
	}
	before := current()
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(math.MaxInt64)
	runtime.GOMAXPROCS(2)
	t.Cleanup(func() {
		debug.SetGCPercent(before.percent)
		debug.SetMemoryLimit(before.limit)
		runtime.GOMAXPROCS(before.procs)
	})
}

func TestRest(t *testing.T) {
	for _, test := range []struct {
		name, variable, value string
		wake                  func(*Rest)
		collects, parallel    bool // at rest, too
	}{
		{name: "work", wake: (*Rest).Busy},
		{name: "the end", wake: (*Rest).Close},
		{name: "work, GOGC set", variable: "GOGC", value: "50", wake: (*Rest).Busy, collects: true},
		{name: "work, GOMEMLIMIT set", variable: "GOMEMLIMIT", value: "1GiB", wake: (*Rest).Busy, collects: true},
		{name: "work, GOMAXPROCS set", variable: "GOMAXPROCS", value: "2", wake: (*Rest).Busy, parallel: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			untuned(t)
			if test.variable != "" {
				t.Setenv(test.variable, test.value)
			}
			busy := current()
			r := New(time.Hour)
			defer r.Close()
			r.rest()
			at := current()
			if collects := at.percent == busy.percent && at.limit == busy.limit; collects != test.collects {
				t.Errorf("at rest: %+v, while busy: %+v", at, busy)
			}
			if parallel := at.procs == busy.procs; parallel != test.parallel {
				t.Errorf("at rest: %+v, while busy: %+v", at, busy)
			}
			r.rest() // changes nothing
			test.wake(r)
			if got := current(); got != busy {
				t.Errorf("after %s: %+v, want %+v", test.name, got, busy)
			}
		})
	}
}

// TestUnnoticedWork: a process that allocates although nobody calls Busy gets
// its garbage collected, and is busy then.
func TestUnnoticedWork(t *testing.T) {
	untuned(t)
	busy := current()
	r := New(time.Hour)
	defer r.Close()
	r.rest()
	var garbage []byte
	allocated := 0
	for deadline := time.Now().Add(30 * time.Second); r.isResting(); {
		if time.Now().After(deadline) {
			t.Fatalf("still at rest after allocating %d MiB", allocated>>20)
		}
		garbage = make([]byte, 64<<10)
		allocated += len(garbage)
		runtime.Gosched()
	}
	if got := current(); got != busy {
		t.Errorf("it is busy with %+v, want %+v", got, busy)
	}
	if allocated < slack/2 {
		t.Errorf("it was busy after %d KiB", allocated>>10)
	}
}

// TestRestAgain: the collection with which a rest begins is not taken for work
// at rest, or it would begin again and again.
func TestRestAgain(t *testing.T) {
	untuned(t)
	r := New(time.Hour)
	defer r.Close()
	for range 20 {
		r.Busy()
		r.rest()
		collected := make(chan struct{})
		runtime.AddCleanup(new([64]byte), func(c chan struct{}) { close(c) }, collected)
		r.Busy()
		r.rest()
		<-collected
		if current().percent != -1 {
			t.Fatal("the rest ended by itself")
		}
	}
}

// TestAfter: the rest begins by itself.
func TestAfter(t *testing.T) {
	untuned(t)
	r := New(time.Millisecond)
	defer r.Close()
	waittest.Until(t, "it rests", r.isResting)
	if got := current().percent; got != -1 {
		t.Errorf("garbage is collected at %d %% at rest", got)
	}
}

func (r *Rest) isResting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resting
}
