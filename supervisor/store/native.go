package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// FileName is the store's one file in the state directory.
const FileName = "tokenkeeper.db"

// Options of [Open]; the zero value is good.
type Options struct {
	// Timeout is how long to wait for another supervisor to leave the state
	// directory, as it does when it is being restarted; 0: one second.
	Timeout time.Duration
	// Fallback is a directory, better on another disk, in which the store goes
	// on when the state directory can't be written; "": none. The store moves
	// back when it is opened and the state directory can be written again, so
	// the setting must stay as long as the store is there.
	Fallback string
	// Trouble is told of faults of the disk at once; nil: nobody is. It must
	// not block and not call the store.
	Trouble func(Trouble)
	// Now dates what comes without a date: a record's StoredAt, an intent's
	// and a delivery's At, and names files; nil: [time.Now].
	Now func() time.Time
	// Log; nil: silence.
	Log *slog.Logger
}

// Journal is the native [Store]: one file to which every change is appended, and in
// memory what is durable.
//
// Writes are batched without waiting: callers that come while a transaction is
// being written share the next one. A context counts until its write is
// queued; then the outcome is waited for. Reads never touch the disk.
//
// It survives the faults of its file. After a failed write nothing of that
// file is believed: what is known to be durable is written into a fresh one,
// here or in [Options.Fallback], together with the change that failed. If that
// can't be done either, the write returns [ErrDisk], and the next one tries
// again. The same is done when somebody else removes, moves, replaces or
// overwrites the file or its directory; what is found in its place is kept.
type Journal struct {
	*engine
	mirror *mirror
}

var _ Store = (*Journal)(nil)

// Open opens the store in the state directory dir, which is made with mode
// 0700 if it is missing. A lock on the directory keeps a second supervisor
// out: ErrInUse, and the error names the process that holds it.
//
// A store that is damaged or gone is restored from whatever is left of it; see
// [Journal.Restored]. ErrDamaged: there is nothing to restore it from.
// ErrNewerFormat, ErrMoved and ErrDamaged leave the directory as it is.
func Open(dir string, o Options) (*Journal, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	m := newMirror(dir, o)
	if err := (opening{m}).open(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return &Journal{newEngine(m, o.Now, o.Log), m}, nil
}

// Look sees whether the state file is still what its path leads to and as it
// was written, and whether the disk takes writes again. Call it now and then:
// otherwise the next write, or Close, is the first to notice. It may take as
// long as the disk does, and then holds up nobody but its caller.
func (j *Journal) Look() { j.mirror.look() }

// Close implements [Store].
func (j *Journal) Close() error {
	// What is only in memory is lost with this process.
	j.mirror.look()
	return j.engine.Close()
}

// Restored tells what was done if the store was damaged or gone when it was
// opened; nil: it was neither.
func (j *Journal) Restored() *Restored { return j.mirror.restored }

// Fault is why nothing can be made durable at the moment ([ErrDisk]); nil: all
// is well. It does not wait for a disk that hangs, and says so after a second.
func (j *Journal) Fault() error {
	if fault := cmp.Or(j.mirror.known.Load(), j.mirror.hangs.Load()); fault != nil {
		return *fault
	}
	return nil
}

// Path is the file that the store is in: in the state directory or in the
// fallback directory.
func (j *Journal) Path() string {
	j.mirror.mu.Lock()
	defer j.mirror.mu.Unlock()
	return j.mirror.at.file()
}

// MoveAway ends the store here, for good: it is said in the file that it goes on
// elsewhere, and no program opens it from then on. Close it then.
func (j *Journal) MoveAway(ctx context.Context, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := j.mirror.moveAway(to); err != nil {
		return fmt.Errorf("ending the store, which moves to %s: %w", to, err)
	}
	return nil
}

// prepareDir makes dir, or checks that nobody else reads in it or can have put it
// there.
func prepareDir(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	judge := trust.Here()
	_, err = judge.Private(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("the state directory can't be made: %w", err)
		}
		if _, err = judge.Private(path); err == nil {
			return syncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		return fmt.Errorf("the state directory %s: %w", dir, err)
	}
	return nil
}

// remakeDir is prepareDir for a directory that was there before. The one above
// it is not made: if that is missing, a disk is, and what is written below its
// mount point is hidden when it comes back.
func remakeDir(dir string) error {
	var refusal *trust.Refusal
	if path, err := filepath.Abs(dir); err == nil {
		if _, err := trust.Here().Private(path); errors.As(err, &refusal) {
			// An empty one of another user, or open to others, is only in the way.
			_ = unix.Rmdir(dir)
		}
	}
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		return syncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		return prepareDir(dir)
	}
	return fmt.Errorf("the state directory can't be made: %w", err)
}

// checkFile checks a state file that exists.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the state file can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the state file %s is not a regular file", path)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("the state file %s is open to others (mode %04o), and it holds refresh tokens: chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}
