// Package idle makes a process small and quiet while it has nothing to do.
//
// A process that keeps tokens works for a few milliseconds and then waits for
// twenty minutes. What Go's runtime is tuned for is the opposite: it keeps
// freed memory for the next request, and once it has collected garbage it does
// so again every two minutes, whether there is any or not.
package idle

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// slack is how much a resting process may allocate before garbage is collected
// as usual, or a quarter of the heap if that is more.
const slack = 1 << 20

// lull is how long after something small all is done that follows from it: others were
// woken up by it, and what they need would stay until it is done again.
const lull = time.Second

// headroom is how far below its limit the runtime begins to collect.
const headroom = 1 << 20

// Rest gives memory back when a process comes to rest. It is safe for
// concurrent use.
//
// At rest the process has one processor and no periodic garbage collection.
// What is allocated all the same, because something was done without a call of
// [Rest.Busy], is bounded: when it comes to some MiB the process counts as
// busy. The user's GOGC, GOMEMLIMIT and GOMAXPROCS, if set, stay as they are.
type Rest struct {
	after time.Duration
	// tuned and parallel: the user has set GOGC or GOMEMLIMIT, or GOMAXPROCS.
	tuned, parallel bool

	mu      sync.Mutex
	timer   *time.Timer
	done    *time.Timer // runs after something small
	resting bool
	over    bool
	// What was set while the process was busy; the limit is in bytes.
	procs, percent int
	limit          int64
	tripwire       runtime.Cleanup
	// program is where the program's own pages are, since the first rest.
	program []mapping
}

// New returns a Rest for a process that is busy now, and counts as idle when
// Busy has not been called for the given time.
func New(after time.Duration) *Rest {
	r := &Rest{
		after: after, parallel: os.Getenv("GOMAXPROCS") != "",
		tuned: os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "",
	}
	r.timer = time.AfterFunc(after, r.rest)
	r.done = time.AfterFunc(lull, r.drop)
	r.done.Stop()
	return r
}

// Busy tells that something has been done. It never waits for long.
func (r *Rest) Busy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.wake()
	r.timer.Reset(r.after)
}

// Touched tells that something small was done that is done at rest, too, again and
// again: the program's pages that it needed are given back once more, when what follows
// from it has been done as well. A busy process keeps them.
func (r *Rest) Touched() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resting {
		r.done.Reset(lull)
	}
}

func (r *Rest) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resting {
		drop(r.program)
	}
}

// Close ends the care about this process, which is as after its start then.
func (r *Rest) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.timer.Stop()
	r.done.Stop()
	r.wake()
}

// wake undoes what rest has set. The caller holds mu.
func (r *Rest) wake() {
	if !r.resting {
		return
	}
	r.resting = false
	if !r.parallel {
		runtime.GOMAXPROCS(r.procs)
	}
	if !r.tuned {
		r.tripwire.Stop() // the next rest begins with a collection
		debug.SetMemoryLimit(r.limit)
		debug.SetGCPercent(r.percent)
	}
}

func (r *Rest) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.resting {
		return
	}
	r.resting = true
	if !r.parallel {
		// A second processor is woken up to look for work whenever the first
		// one gets some, and each holds free memory of its own.
		r.procs = runtime.GOMAXPROCS(1)
	}
	// All that has to be allocated for the rest is, before memory is given back.
	files := mapped()
	if r.program == nil {
		r.program = program(files)
	}
	m := new(runtime.MemStats)
	debug.FreeOSMemory() // collects garbage first
	if !r.tuned {
		r.bound(m)
	}
	drop(files) // last: all of this needed some
}

// bound has no garbage collected before more than a little was allocated. The caller
// holds mu, and m is room for what there is to know.
func (r *Rest) bound(m *runtime.MemStats) {
	runtime.ReadMemStats(m)
	r.limit = debug.SetMemoryLimit(int64(m.Sys - m.HeapReleased + headroom + max(m.HeapAlloc/4, slack)))
	r.percent = debug.SetGCPercent(-1)
	// A collection at rest finds this object unused, and so it is known that
	// there was one. (Smaller objects share their memory with others.)
	r.tripwire = runtime.AddCleanup(new([64]byte), (*Rest).Busy, r)
}
