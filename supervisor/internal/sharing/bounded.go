package sharing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// ErrSilent: the disk of the shared file, or of its lock, does not answer.
var ErrSilent = errors.New("its disk does not answer")

const (
	// answersWithin is how long is waited for the disk of a file, and writesWithin where
	// that has to confirm something: a healthy one that is busy takes its time.
	answersWithin = 10 * time.Second
	writesWithin  = 30 * time.Second
	// keptForLook is how long a lock that came late is kept for the look that follows.
	keptForLook = time.Minute
	// locksWithin is how long is waited for a lock: longer than a file waits for another
	// program that holds it.
	locksWithin = 35 * time.Second
)

// bounded is a file on a disk that may not answer: a call to that never comes back, and
// can't be ended. So nobody waits for it for long, and nothing more is asked of the disk
// until it has come back: that is one thread for each call that was under way then. What
// hangs keeps the lock under which it was made: given back before, others would write a
// newer token, and what hangs an older one over it. It is safe for concurrent use.
type bounded struct {
	File
	path string
	wall func() time.Time
	// answers is called when nothing hangs any more.
	answers func()

	mu sync.Mutex
	// hung are the calls that nobody waits for any more, locked those of them that were
	// made under the lock, and since is when the first of them was made.
	hung, locked int
	since        time.Time
	silent       chan struct{} // closed while there are any
	owed         []func()      // give the lock back
}

func newBounded(file File, path string, wall func() time.Time, answers func()) *bounded {
	return &bounded{File: file, path: path, wall: wall, answers: answers, silent: make(chan struct{})}
}

// call is one of a bounded file's disk.
type call struct {
	within time.Duration
	locked bool // it is made under the lock
	// impatient: it is given up as soon as another one hangs. always: it is made although
	// one does. pastLooks: it is made although a look hangs, as everything that brings a token to
	// the file under a lock that was had before; but not beside another one that was made
	// under the lock, over whose token that would come, or the other way round.
	impatient, always, pastLooks bool
}

// ask makes a call and returns what that brings. The error is [ErrSilent] if it does not
// come back in time, and late gets what it brings then; or if another one has not.
func ask[T any](f *bounded, c call, do func() T, late func(T)) (brought T, err error) {
	var none T
	began := f.wall()
	f.mu.Lock()
	silent := f.silent
	if err := f.isSilent(); err != nil && !c.always && !(c.pastLooks && f.locked == 0) {
		f.mu.Unlock()
		return none, err
	}
	f.mu.Unlock()
	if !c.impatient {
		silent = nil
	}
	came, left := make(chan struct{}), false // left is under the lock
	go func() {
		got := do()
		f.mu.Lock()
		if !left {
			brought = got
			close(came)
		}
		isLate := left
		f.mu.Unlock()
		if isLate {
			late(got)
			f.cameBack(c)
		}
	}()
	timer := time.NewTimer(c.within)
	defer timer.Stop()
	select {
	case <-came:
		return brought, nil
	case <-timer.C:
	case <-silent:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-came:
		return brought, nil
	default:
	}
	left = true
	f.hangs(c, began)
	return none, f.isSilent()
}

// isKnownSilent says whether a call hangs.
func (f *bounded) isKnownSilent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hung > 0
}

// isSilent is [ErrSilent] while a call hangs. The caller holds f.mu.
func (f *bounded) isSilent() error {
	if f.hung == 0 {
		return nil
	}
	return fmt.Errorf("shared file %s: %w since %s: look at the disk, or at the server of a network drive", f.path, ErrSilent, f.since.UTC().Format(time.RFC3339))
}

// hangs notes that a call is waited for no more. The caller holds f.mu.
func (f *bounded) hangs(c call, began time.Time) {
	if f.hung++; c.locked {
		f.locked++
	}
	if f.hung == 1 {
		f.since = began
		close(f.silent)
	}
}

// cameBack notes that such a call has come back after all.
func (f *bounded) cameBack(c call) {
	f.mu.Lock()
	if c.locked {
		f.locked--
	}
	var owed []func()
	if f.locked == 0 {
		owed, f.owed = f.owed, nil
	}
	f.mu.Unlock()
	for _, giveBack := range owed { // before anybody asks for it once more
		giveBack()
	}
	f.mu.Lock()
	f.hung--
	over := f.hung == 0
	if over {
		f.silent = make(chan struct{})
	}
	f.mu.Unlock()
	if over {
		f.answers()
	}
}

// gotLock is what a call for the lock has brought.
type gotLock struct {
	release func() error
	err     error
}

func (f *bounded) Lock(ctx context.Context) (func() error, error) {
	lock := func() (got gotLock) {
		got.release, got.err = f.File.Lock(ctx)
		return got
	}
	got, err := ask(f, call{within: locksWithin, impatient: true}, lock, func(got gotLock) {
		if got.err == nil { // nobody waits for it any more
			f.File.Keep(keptForLook) // what stands there may be spent: the look that follows takes it over
			_ = got.release()
		}
	})
	if err = cmp.Or(err, got.err); err != nil {
		return nil, err
	}
	return func() error { return f.release(got.release) }, nil
}

// release gives the lock back, at once or when what hangs under it has come back.
func (f *bounded) release(giveBack func() error) error {
	f.mu.Lock()
	if f.locked > 0 {
		f.owed = append(f.owed, func() { _ = giveBack() })
		defer f.mu.Unlock()
		return fmt.Errorf("it is kept until that answers: %w", f.isSilent())
	}
	f.mu.Unlock()
	err, silent := ask(f, call{within: answersWithin, always: true}, giveBack, func(error) {})
	return cmp.Or(silent, err)
}

// asked is ask for a call whose error is all that it brings.
func (f *bounded) asked(c call, do func() error) error {
	err, silent := ask(f, c, do, func(error) {})
	return cmp.Or(silent, err)
}

// Keep is made in any case, and before the lock is given back: what the file holds may be
// spent.
func (f *bounded) Keep(d time.Duration) {
	_ = f.asked(call{within: answersWithin, locked: true, always: true}, func() error { f.File.Keep(d); return nil })
}

func (f *bounded) Forgo() {
	_ = f.asked(call{within: answersWithin, always: true}, func() error { f.File.Forgo(); return nil })
}

// Inherit returns true, too, while nobody knows whether the lock is this file's: who gave
// it back would let others use what may be spent.
func (f *bounded) Inherit(lock *os.File, d time.Duration) bool {
	took, silent := ask(f, call{within: answersWithin, always: true}, func() bool { return f.File.Inherit(lock, d) }, func(bool) {})
	return took || silent != nil
}

func (f *bounded) Read() (format.Document, error) { return f.read(call{within: answersWithin}) }

// readLocked is Read for who has the lock and has spent the token that stands there: it is
// made though a look beside hangs, and keeps the lock.
func (f *bounded) readLocked() (format.Document, error) {
	return f.read(call{within: answersWithin, locked: true, pastLooks: true})
}

func (f *bounded) read(c call) (format.Document, error) {
	type read struct {
		doc format.Document
		err error
	}
	got, silent := ask(f, c, func() (r read) {
		r.doc, r.err = f.File.Read()
		return r
	}, func(read) {})
	if silent != nil {
		return format.Document{}, silent
	}
	return got.doc, got.err
}

func (f *bounded) Prove() error {
	return f.asked(call{within: writesWithin, locked: true}, f.File.Prove)
}

func (f *bounded) Replaceable() error {
	return f.asked(call{within: writesWithin}, f.File.Replaceable)
}

func (f *bounded) Write(d format.Document) error {
	return f.asked(call{within: writesWithin, locked: true, pastLooks: true}, func() error { return f.File.Write(d) })
}

func (f *bounded) KeepRest() (string, error) {
	return f.keeping(f.File.KeepRest, func(string, error) {}) // it is asked for again, and brings the same
}

// Mend, Supersede and TakeOut tell late what was done to the file when nobody waited for
// that any more: no look finds out.
func (f *bounded) Mend(d format.Document, late func(kept string, err error)) (string, error) {
	return f.keeping(func() (string, error) { return f.File.Mend(d) }, late)
}

func (f *bounded) Supersede(d format.Document, late func(kept string, err error)) (string, error) {
	return f.keeping(func() (string, error) { return f.File.Supersede(d) }, late)
}

func (f *bounded) TakeOut(dead sdk.Secret, late func(took bool)) (bool, error) {
	type taken struct {
		took bool
		err  error
	}
	got, silent := ask(f, call{within: writesWithin, locked: true, pastLooks: true}, func() (t taken) {
		t.took, t.err = f.File.TakeOut(dead)
		return t
	}, func(t taken) { late(t.took) })
	return got.took, cmp.Or(silent, got.err)
}

// keeping is for a call that keeps what is left of the file at a path.
func (f *bounded) keeping(do func() (string, error), late func(string, error)) (string, error) {
	type kept struct {
		path string
		err  error
	}
	got, silent := ask(f, call{within: writesWithin, locked: true, pastLooks: true}, func() (k kept) {
		k.path, k.err = do()
		return k
	}, func(k kept) { late(k.path, k.err) })
	return got.path, cmp.Or(silent, got.err)
}
