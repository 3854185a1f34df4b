package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

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
	mirror   keeping // of [Open] a [mirror.Mirror]
	restored *Restored
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
	o = o.WithDefaults()
	m, err := mirror.New(dir, o)
	if err != nil {
		return nil, err
	}
	s, restored, err := opening{m, dir, o.Log}.open()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &Journal{newEngine(s, m, o), m, restored}, nil
}

// Look sees whether the state file is still what its path leads to and as it
// was written, and whether the disk takes writes again. Call it now and then:
// otherwise the next write, or Close, is the first to notice. It may take as
// long as the disk does, and then holds up nobody but its caller.
func (j *Journal) Look() { j.mirror.Look() }

// Close implements [Store].
func (j *Journal) Close() error {
	// What is only in memory is lost with this process.
	j.mirror.Look()
	return j.engine.Close()
}

// Restored tells what was done if the store was damaged or gone when it was
// opened; nil: it was neither.
func (j *Journal) Restored() *Restored { return j.restored }

// Fault is why nothing can be made durable at the moment ([ErrDisk]); nil: all
// is well. It does not wait for a disk that hangs, and says so after a second.
func (j *Journal) Fault() error { return cmp.Or(j.outOfUse(), j.mirror.Fault()) }

// BackupDue says whether there is something to back up and the newest backup
// is a day old.
func (j *Journal) BackupDue(now time.Time) bool { return j.mirror.BackupDue(now) }

// Backup copies the state file into the directory "backup" beside it, where
// the newest of each of the last seven days are kept. The copy is verified
// first: a state file that has been damaged is replaced by a fresh one.
func (j *Journal) Backup(ctx context.Context) error { return j.mirror.Backup(ctx) }

// FallbackOf returns what stands in for a state directory in a fallback
// directory.
func FallbackOf(stateDir, fallback string) string { return mirror.FallbackOf(stateDir, fallback) }

// Places are the directories that a store may be in: the state directory, and what stands in
// for it in a fallback directory; "": there is none.
func Places(stateDir, fallback string) []string {
	if fallback == "" {
		return []string{stateDir}
	}
	return []string{stateDir, FallbackOf(stateDir, fallback)}
}
