package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// retryAfter is how soon after a fresh file could not be written the next one
	// is tried: callers must not be kept waiting by a dying disk, nor it by them.
	retryAfter = time.Second
	// hangsAfter is how long a write takes that hangs.
	hangsAfter = time.Second
	// wholeMiB is how long a mebibyte of the file may take to be written anew or read.
	wholeMiB = 200 * time.Millisecond
	// historyFor is how long what a transaction changed stays in the file, as far as
	// historyRoom, or a quarter of the store, has room for it.
	historyFor  = 6 * time.Hour
	historyRoom = 512 << 10
	// A file is made compact when it is so many times as long as it was then.
	bloat = 4
)

// mirror is the backend that outlives its file: it holds in memory what is
// durable, answers from there, and can write it into a fresh file at any time.
type mirror struct {
	options Options
	// places are the state directory and, if there is one, the fallback.
	places []*place
	state  *state

	// mu admits one writer, backup or close at a time.
	mu     sync.Mutex
	last   position // of what is durable
	format string
	// tried is the highest sequence that any file may hold.
	tried uint64
	// file is where the state is durable, in the place at; nil: the last write
	// failed, and what a file holds is not known.
	file *journal
	at   *place
	// fault is why there is no file, and since when.
	fault   error
	faultAt time.Time
	// wrong is what is wrong with what stands in the place of the state file:
	// a word of its name when it is put aside.
	wrong string
	// closed: nothing is written any more, whoever comes late. Somebody else may
	// have the directory.
	closed bool
	// known is fault, and hangs that the write which is under way does not come back,
	// for those who must not wait for mu.
	known, hangs atomic.Pointer[error]
	// backedUp is when the newest backup was made; unbacked: the last one failed.
	backedUp time.Time
	unbacked bool
	restored *Restored
	// smallest is the length under which a file is never made compact.
	smallest int64
}

func newMirror(dir string, o Options) *mirror {
	m := &mirror{options: o, format: formatVersion, wrong: wrongFailed, state: newState(), smallest: 2 * historyRoom}
	m.places = []*place{{dir: dir}}
	if o.Fallback != "" {
		m.places = append(m.places, &place{dir: FallbackOf(dir, o.Fallback)})
	}
	m.at = m.places[0]
	return m
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

// durable implements backend.
func (m *mirror) durable() *state { return m.state }

// update implements backend.
func (m *mirror) update(c change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		if m.fault != nil {
			return m.fault
		}
		return ErrClosed
	}
	end := m.watch(hangsAfter)
	defer func() { end() }()
	if m.file != nil {
		err := m.write(frame{body: encodeChange(c)})
		if err == nil {
			m.settle(c)
			end()
			end = m.watch(m.worksFor())
			m.compact()
			return nil
		}
		return m.leave(c, "a change could not be written to the state file, which is not used any more", err)
	} else if since := time.Since(m.faultAt); since < retryAfter {
		return m.fault
	}
	return m.recover(c)
}

// watch tells of a write that does not come back, until it does: call what it returns
// then.
func (m *mirror) watch(after time.Duration) (end func()) {
	path := m.at.file()
	timer := time.AfterFunc(after, func() {
		err := fmt.Errorf("%w: a write does not come back", ErrDisk)
		m.hangs.Store(&err)
		m.tell(Trouble{What: "the disk hangs; what has been announced is not sent before it answers", Path: path, Err: err})
	})
	return func() {
		if timer.Stop() {
			return
		}
		if m.hangs.Store(nil); m.file != nil {
			m.tell(Trouble{What: "the disk answers again", Path: path, Recovered: true})
		}
	}
}

// worksFor is how long what takes the whole file may last on a slow machine.
func (m *mirror) worksFor() time.Duration {
	return hangsAfter + time.Duration(m.file.room>>20)*wholeMiB
}

// leave gives up the file that is open, and goes on in a fresh one.
func (m *mirror) leave(c change, what string, err error) error {
	var d displaced
	if errors.As(err, &d) {
		return m.rebuild(c, d)
	}
	m.lose(what, err)
	return m.recover(c)
}

// recover goes on in a fresh file, and tells.
func (m *mirror) recover(c change) error {
	if err := m.renew(c, m.wrong); err != nil {
		return err
	}
	what := "the store is durable again, in " + m.where()
	if m.at == m.places[0] && m.wrong == wrongFailed {
		what += "; the old one is kept beside it"
	}
	m.tell(Trouble{What: what, Path: m.at.file(), Recovered: true})
	return nil
}

// where is where the store is durable again.
func (m *mirror) where() string {
	if m.at == m.places[0] {
		return "a fresh file"
	}
	return "the fallback directory, and moves back at the first start that can write the state directory"
}

// next is a sequence that no file has yet.
func (m *mirror) next() uint64 {
	m.tried++
	return m.tried
}

// write makes one frame durable in the file that is open.
func (m *mirror) write(f frame) error {
	if err := m.displaced(); err != nil {
		return err
	}
	f.sequence, f.at = m.next(), m.options.Now()
	if err := m.file.append(f); err != nil {
		return err
	}
	// Only now is it known where that went.
	_, err := m.found()
	return err
}

// settle notes that c is durable.
func (m *mirror) settle(c change) {
	m.last = m.file.last
	if err := m.state.apply(c); err != nil {
		// What was just made durable can't be read: no later start could.
		panic(fmt.Sprintf("the store has written what it can't read: %v", err))
	}
}

// compact goes on in a shorter file if this one has mostly what is over.
func (m *mirror) compact() {
	if m.file.end < max(bloat*m.file.fresh, m.smallest) {
		return
	}
	values, err := m.state.values()
	old := m.file
	f := fresh{values: values, sequence: m.next(), at: m.options.Now(), format: m.format}
	if err == nil {
		f.history = old.tail(f.at.Add(-historyFor), max(historyRoom, old.fresh/bloat))
		m.file, err = m.at.replace(f, "", m.options)
	}
	if err != nil {
		m.options.Log.Warn("the state file could not be made shorter, and grows", "path", m.at.file(), "error", err)
		m.file, old.fresh = old, old.end // not at each change
		return
	}
	m.last = m.file.last
	_ = old.file.Close()
}

// lose gives up the file that is open.
func (m *mirror) lose(what string, err error) {
	m.part(wrongFailed)
	m.tell(Trouble{What: what, Path: m.at.file(), Err: err})
}

// part closes the file, with which something is wrong.
func (m *mirror) part(wrong string) {
	_ = m.file.file.Close()
	m.file, m.wrong = nil, wrong
}

// renew writes everything, with the change c, into a fresh file in the first
// place that takes it. The file that it takes the place of is kept, under a
// name that tells what was wrong with it.
func (m *mirror) renew(c change, wrong string) error {
	return m.renewAs(c, func(p *place) string { return p.asideName(wrong, m.options.Now()) })
}

func (m *mirror) renewAs(c change, aside func(*place) string) error {
	values, err := m.state.values()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	maps.Copy(values, c)
	maps.DeleteFunc(values, func(_ string, value []byte) bool { return value == nil })
	var errs []error
	for _, p := range m.places {
		f := fresh{values: values, sequence: m.next(), at: m.options.Now(), format: m.format}
		j, err := p.replace(f, aside(p), m.options)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.file, m.at, m.fault = j, p, nil
		m.settle(c)
		m.known.Store(nil)
		p.tidy()
		return nil
	}
	known := m.fault != nil
	m.fault, m.faultAt = fmt.Errorf("%w: %w", ErrDisk, errors.Join(errs...)), time.Now()
	fault := m.fault
	m.known.Store(&fault)
	if !known {
		m.tell(Trouble{What: "nothing can be stored; no refresh token is spent until the disk takes writes again", Path: m.places[0].dir, Err: m.fault})
	}
	return m.fault
}

func (m *mirror) tell(t Trouble) {
	if t.Err != nil {
		m.options.Log.Error(t.What, "path", t.Path, "error", t.Err)
	} else {
		m.options.Log.Info(t.What, "path", t.Path)
	}
	if m.options.Trouble != nil {
		m.options.Trouble(t)
	}
}

// moveAway says in the file that the store goes on elsewhere.
func (m *mirror) moveAway(to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		return errors.Join(m.fault, ErrClosed)
	}
	err := m.write(frame{kind: frameMoved, body: []byte(to)})
	m.part(wrongFailed)
	m.fault, m.faultAt, m.closed = fmt.Errorf("%w to %s", ErrMoved, to), m.options.Now().AddDate(100, 0, 0), true
	return err
}

// close implements backend.
func (m *mirror) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.file != nil {
		// Nothing is lost by an error: what was written has been synced.
		if err := m.file.close(); err != nil {
			m.options.Log.Warn("closing the state file", "path", m.at.file(), "error", err)
		}
		m.file = nil
	}
	for _, p := range m.places {
		p.release()
	}
	return nil
}
