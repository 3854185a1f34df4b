// Package configfile is the configuration's file while a supervisor runs: what it says by
// now, beside what the supervisor was started with and goes on with. It is read when
// somebody asks, never twice at once, and nobody else waits for that. A Watch looks whether
// it was written.
package configfile

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// rest is for how many times as long as it took the file is not read again for who
// glances, unless it was written meanwhile.
const rest = 20

// ErrNone: the supervisor was not started with a file.
var ErrNone = errors.New("this supervisor was not started with a configuration file, so there is nothing to compare")

// Config is what a File is over.
type Config struct {
	// Running is what the supervisor was started with.
	Running *config.Config
	// Read reads the file again, as Running was read; nil: it came from none.
	Read func() (*config.Config, error)
	// Check finds what would keep a start with what it says from succeeding; nil: nobody
	// looks.
	Check   func(ctx context.Context, is *config.Config) error
	Started time.Time
	Wall    func() time.Time
}

// File is safe for concurrent use.
type File struct {
	cfg     Config
	running atomic.Pointer[running]
	written *mounts.Glance[written]
	said    *mounts.Glance[reading]
	one     chan struct{} // has room for who reads the file
	failed  atomic.Pointer[Failure]
	anew    chan struct{} // has something after Runs
}

// running is what runs, and since when it says so.
type running struct {
	*config.Config
	since time.Time
}

// Seen is how the file stands to what runs.
type Seen struct {
	// Changed: it says otherwise, or can't be used.
	Changed bool
	// ChangedAt is when what has changed was written; zero: that can't be told.
	ChangedAt time.Time
	// Difference is what it says otherwise, Err why a start with it would fail. Where it
	// is not read yet there is neither.
	Difference difference.Difference
	Err        error
	// Config is what it says; nil: nothing else, or it can't be used.
	Config *config.Config
}

// written is what can be seen of the file without understanding it.
type written struct {
	of   *running
	anew bool // since that was read
	at   time.Time
}

// reading is one time that the file was read for who glances.
type reading struct {
	of    written // the file, then
	ended time.Time
	took  time.Duration
	seen  Seen
}

// New reads nothing.
func New(c Config) *File {
	f := &File{cfg: c, one: make(chan struct{}, 1), anew: make(chan struct{}, 1)}
	f.running.Store(&running{c.Running, c.Started})
	f.written = mounts.NewGlance(f.look)
	var last reading // one look is under way at a time
	f.said = mounts.NewGlance(func() reading {
		if of := f.written.Now(); of != last.of || time.Since(last.ended) > rest*last.took {
			f.one <- struct{}{}
			begun := time.Now()
			seen := f.compare(of, nil)
			<-f.one
			last = reading{of, time.Now(), time.Since(begun), seen}
		}
		return last
	})
	return f
}

// Runs says that the supervisor goes on with what was read from the file just now.
func (f *File) Runs(c *config.Config) {
	f.running.Store(&running{c, f.cfg.Wall()})
	f.failed.Store(nil)
	select {
	case f.anew <- struct{}{}:
	default:
	}
}

// Glance is for who asks often: what it returns may be a little older than the question,
// and if reading takes long, it does not say what has changed.
func (f *File) Glance() Seen {
	now := f.written.Now()
	if !now.anew {
		return Seen{}
	}
	if f.cfg.Read != nil {
		if r := f.said.Now(); r.of == now {
			return r.seen
		}
	}
	return Seen{Changed: true, ChangedAt: now.at}
}

// Look reads the file now, tries what [Config.Check] tries of it, and waits for that until
// ctx ends.
func (f *File) Look(ctx context.Context) (Seen, error) {
	if f.cfg.Read == nil {
		return Seen{}, ErrNone
	}
	select {
	case f.one <- struct{}{}:
	case <-ctx.Done():
		return Seen{}, context.Cause(ctx)
	}
	read := make(chan Seen, 1)
	go func() {
		defer func() { <-f.one }()
		read <- f.compare(f.written.Now(), func(is *config.Config) error {
			if f.cfg.Check == nil {
				return nil
			}
			return f.cfg.Check(ctx, is)
		})
	}()
	select {
	case seen := <-read:
		if seen.Err != nil && ctx.Err() != nil { // and so it was cut off
			return Seen{}, context.Cause(ctx)
		}
		return seen, nil
	case <-ctx.Done():
		return Seen{}, context.Cause(ctx)
	}
}

// look believes a time if it can be: a file may have been put there with an old one.
func (f *File) look() (w written) {
	now, failed := f.running.Load(), f.failed.Load()
	if w.of = now; !now.Changed() {
		if failed != nil && now.Unchanged() {
			f.same(failed)
		}
		return w
	}
	w.anew = true
	if at := now.ChangedAt(); at.After(now.since) && !at.After(f.cfg.Wall()) {
		w.at = at
	}
	return w
}

// compare reads the file, for who is the one, and has check try it; nil: nobody does.
// Whatever stands there, the supervisor goes on.
func (f *File) compare(of written, check func(is *config.Config) error) (seen Seen) {
	defer func() {
		if v := recover(); v != nil { // which may hold a secret
			seen = Seen{Changed: true, ChangedAt: of.at, Err: fmt.Errorf("reading it failed with a panic of type %T: please report it with the file, without its secrets", v)}
		}
	}()
	failed := f.failed.Load()
	is, err := f.cfg.Read()
	if err != nil {
		return Seen{Changed: true, ChangedAt: of.at, Err: err}
	}
	d := difference.Between(of.of.Config, is)
	if d.IsZero() {
		f.same(failed)
		return Seen{}
	}
	if check != nil {
		if err := check(is); err != nil {
			return Seen{Changed: true, ChangedAt: of.at, Err: err}
		}
	}
	return Seen{Changed: true, ChangedAt: of.at, Difference: d, Config: is}
}
