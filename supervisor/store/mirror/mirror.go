// Package mirror keeps what is in memory durable in a file, and outlives that file: it
// has the directories, their locks and backups, and goes on in a fresh file when a disk
// fails or somebody puts something else in the file's place. It knows nothing of what
// the values mean.
package mirror

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// Errors of what is written.
var (
	// ErrDisk: it could not be made durable. Nothing has changed; reads go on,
	// and each later write tries anew. If the process dies before one succeeds, the
	// next one may find what was refused, as a whole.
	ErrDisk = errors.New("the disk does not take it")
	// ErrInUse: another supervisor has this state directory.
	ErrInUse = errors.New("another supervisor uses this state directory")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the store is closed")
)

const (
	// RetryAfter is how soon after a fresh file could not be written the next one
	// is tried: callers must not be kept waiting by a dying disk, nor it by them. It is
	// retryShare times as long as the try took, if that is more: to lay out a large store
	// takes seconds. Each look tries anyway, and longestRetry is about as long as until the
	// next of those.
	RetryAfter   = time.Second
	retryShare   = 10
	longestRetry = 30 * time.Second
	// mostRemoved is how often a fresh file is written at once while somebody is still
	// removing what stands there.
	mostRemoved = 5
	// hangsAfter is how long a write takes that hangs.
	hangsAfter = time.Second
	// wholeMiB is how long a mebibyte of the file may take to be written anew or read.
	wholeMiB = 200 * time.Millisecond
	// HistoryFor is how long what a transaction changed stays in the file, as far as
	// historyRoom, or a quarter of the store, has room for it.
	HistoryFor  = 6 * time.Hour
	historyRoom = 512 << 10
)

// State is what is durable, in memory.
type State interface {
	// Values is everything, as it is written.
	Values() (map[string][]byte, error)
	// Apply takes over what is durable now; nil: it is deleted.
	Apply(c map[string][]byte) error
	// Empty says whether there is nothing.
	Empty() bool
}

// Mirror is a state that outlives its file: it is in memory, and can be written into a
// fresh file at any time.
type Mirror struct {
	// mu admits one writer, backup or close at a time.
	mu sync.Mutex
	upkeep
}

// upkeep keeps the state in one file after the other. Its methods are called with the
// mirror's mu held, from the moment on at which others may have that.
type upkeep struct {
	options Options
	// places are the state directory and, if there is one, the fallback.
	places []*place
	state  State

	last   journal.Position // of what is durable
	format string
	// tried is the highest sequence that any file may hold.
	tried uint64
	// file is where the state is durable, in the place at; nil: the last write
	// failed, and what a file holds is not known.
	file *journal.File
	at   *place
	// fault is why there is no file, and retryAt from when on a change tries again; hangs is
	// that the write which is under way does not come back.
	fault, hangs fault
	retryAt      time.Time
	// wrong is what is wrong with what stands in the place of the state file:
	// a word of its name when it is put aside.
	wrong string
	// closed: nothing is written any more, whoever comes late. Somebody else may
	// have the directory.
	closed bool
	// backedUp is when the newest backup was made; unbacked: the last one failed.
	backedUp time.Time
	unbacked bool
	// Smallest is the length under which a file is never made compact.
	Smallest int64
}

// New has the state directory dir, which is made with mode 0700 if it is missing. A lock
// on it keeps a second supervisor out: ErrInUse. What is written there and what is not
// is to be said next: [Mirror.Adopt], or [Mirror.Restore].
func New(dir string, o Options) (*Mirror, error) {
	m := &Mirror{upkeep: upkeep{options: o, format: journal.Version, wrong: wrongFailed, Smallest: 2 * historyRoom}}
	m.places = []*place{{dir: dir, syncDir: syncDir}}
	if o.Fallback != "" {
		m.places = append(m.places, &place{dir: FallbackOf(dir, o.Fallback), syncDir: syncDir})
	}
	m.at = m.places[0]
	if err := m.at.claim(o.Timeout); err != nil {
		m.at.release()
		return nil, err
	}
	return m, nil
}

// FallbackOf returns what stands in for a state directory in a fallback
// directory. Supervisors that share a fallback directory must not find each
// other's things there.
func FallbackOf(stateDir, fallback string) string {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		abs = stateDir
	}
	return filepath.Join(fallback, fmt.Sprintf("tokenkeeper-%.4x", sha256.Sum256([]byte(abs))))
}

// Update makes c durable as a whole and applies it to the state. After an error, which is
// ErrDisk or ErrClosed, nothing has changed.
func (m *Mirror) Update(c map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return cmp.Or(m.fault.is(), ErrClosed)
	}
	end := m.watch(hangsAfter)
	defer end()
	if m.file == nil {
		if time.Now().Before(m.retryAt) {
			return m.fault.is()
		}
		return m.recover(c, Trouble{})
	}
	if err := m.write(c); err != nil {
		return m.leave(c, "a change could not be written to the state file, which is not used any more", err)
	}
	m.settle(c)
	end() // the rest takes longer
	m.compact()
	return nil
}

// leave gives up the file that is open, and goes on in a fresh one. What was wrong with it
// is told once, with the worse that comes of it if there is no other.
func (m *upkeep) leave(c map[string][]byte, what string, err error) error {
	m.file.Drop()
	m.file = nil
	if did := journal.Displaced(""); errors.As(err, &did) {
		m.wrong = wrongFound
		return m.rebuild(c, did)
	}
	m.wrong = wrongFailed
	return m.recover(c, Trouble{What: what, Path: m.at.file(), Err: err})
}

// recover goes on in a fresh file, and tells; also why, if nobody knows that yet.
func (m *upkeep) recover(c map[string][]byte, why Trouble) error {
	if _, err := m.renew(c, m.wrong, why.Err); err != nil {
		return err
	}
	if why.Err != nil {
		m.tell(why)
	}
	m.hangs.set(nil) // this is its end as well
	what := "the store is durable again, in " + m.where()
	if m.at == m.places[0] && m.wrong == wrongFailed {
		what += "; the old one is kept beside it"
	}
	m.tell(Trouble{What: what, Path: m.at.file(), Recovered: true})
	return nil
}

// where is where the store is durable again.
func (m *upkeep) where() string {
	if m.at == m.places[0] {
		return "a fresh file"
	}
	return "the fallback directory, and moves back at the first start that can write the state directory"
}

// Fault is why nothing can be made durable at the moment ([ErrDisk]); nil: all
// is well. It does not wait for a disk that hangs, and says so after a second.
func (m *Mirror) Fault() error { return cmp.Or(m.fault.is(), m.hangs.is()) }

// Path is the file that the state is in, in the state directory or in the fallback
// directory: tests ask.
func (m *Mirror) Path() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at.file()
}

// Harm calls do with the file that is open, while nothing is written to it: tests do to it
// what disks do.
func (m *Mirror) Harm(do func(*journal.File)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		do(m.file)
	}
}

// next is a sequence that no file has yet.
func (m *upkeep) next() uint64 {
	m.tried++
	return m.tried
}

// write makes a change durable in the file that is open.
func (m *upkeep) write(c map[string][]byte) error {
	if err := m.displaced(); err != nil {
		return err
	}
	if err := m.file.Append(m.next(), m.options.Now(), c); err != nil {
		return err
	}
	// Only now is it known where that went.
	_, err := m.found()
	return err
}

// settle notes that c is durable.
func (m *upkeep) settle(c map[string][]byte) {
	m.last = m.file.Last()
	if err := m.state.Apply(c); err != nil {
		// What was just made durable can't be read: no later start could.
		panic(fmt.Sprintf("the store has written what it can't read: %v", err))
	}
}

// compact goes on in a shorter file if this one has mostly what is over.
func (m *upkeep) compact() {
	if !m.file.Bloated(m.Smallest) {
		return
	}
	defer m.watch(m.worksFor())()
	var shorter *journal.File
	values, err := m.state.Values()
	if err == nil {
		f := m.fresh(values)
		f.History = m.file.Tail(f.At.Add(-HistoryFor), historyRoom)
		shorter, err = m.at.replace(f, "", m.options)
	}
	switch {
	case err == nil:
		m.file.Drop()
		m.file, m.last = shorter, shorter.Last()
	case errors.Is(err, errUnsure):
		// A power loss may bring the longer one back: nothing may be written to either.
		_ = m.leave(nil, "the state file was made shorter, and nobody knows whether that lasts; another takes its place", err)
	default:
		m.options.Log.Warn("the state file could not be made shorter, and grows", "path", m.at.file(), "error", err)
		m.file.Stay() // not at each change
	}
}

// fresh is what a fresh file holds that has no history.
func (m *upkeep) fresh(values map[string][]byte) journal.Fresh {
	m.next() // it takes two
	return journal.Fresh{Values: values, Sequence: m.next(), At: m.options.Now(), Format: m.format}
}

// renew writes everything, with the change c, into a fresh file in the first
// place that takes it. The file that it takes the place of is kept, under a
// name that tells what was wrong with it; "": there was none. Why it is given up, nil: it
// is not the disk, belongs to the fault if there is no other.
func (m *upkeep) renew(c map[string][]byte, wrong string, why error) (kept string, err error) {
	began := time.Now()
	values, err := m.state.Values()
	if err != nil {
		return "", m.fails(began, why, err)
	}
	maps.Copy(values, c)
	maps.DeleteFunc(values, func(_ string, value []byte) bool { return value == nil })
	var errs []error
	for _, p := range m.places {
		var j *journal.File
		err := fs.ErrNotExist
		for tries := 0; tries < mostRemoved && errors.Is(err, fs.ErrNotExist); tries++ {
			f := m.fresh(values)
			kept = p.asideName(wrong, f.At)
			j, err = p.replace(f, kept, m.options)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.file, m.at = j, p
		m.settle(c)
		m.fault.set(nil)
		p.tidy()
		if _, err := os.Lstat(kept); err != nil {
			kept = ""
		}
		return kept, nil
	}
	return "", m.fails(began, why, errors.Join(errs...))
}

// fails notes that nothing can be made durable, and why: what was wrong at first, if there
// is such, and what is now. The try for it began then.
func (m *upkeep) fails(began time.Time, first, now error) error {
	known := m.fault.is() != nil
	err := fmt.Errorf("%w: %w", ErrDisk, now)
	if first != nil {
		err = fmt.Errorf("%w: %w; and then %w", ErrDisk, first, now)
	}
	m.fault.set(err)
	m.retryAt = time.Now().Add(min(max(RetryAfter, retryShare*time.Since(began)), longestRetry))
	if !known {
		m.tell(Trouble{What: "nothing can be stored; no refresh token is spent until the disk takes writes again", Path: m.places[0].dir, Err: err})
	}
	return err
}

// tell tells who is there for it, or else the log.
func (m *upkeep) tell(t Trouble) {
	switch {
	case m.options.Trouble != nil:
		m.options.Trouble(t)
	case t.Err != nil:
		m.options.Log.Error(t.What, "path", t.Path, "error", t.Err)
	default:
		m.options.Log.Info(t.What, "path", t.Path)
	}
}

// Close says in the file that it is whole, and lets go of the directories. Nothing is
// written any more, whoever comes late.
func (m *Mirror) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.watch(hangsAfter)()
	m.closed = true
	if m.file != nil {
		// Nothing is lost by an error: what was written has been synced.
		if err := m.file.Close(); err != nil {
			m.options.Log.Warn("closing the state file", "path", m.at.file(), "error", err)
		}
		m.file = nil
	}
	for _, p := range m.places {
		p.release()
	}
	return nil
}
