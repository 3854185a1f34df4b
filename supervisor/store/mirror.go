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

// retryAfter is how soon after a fresh file could not be written the next one
// is tried: callers must not be kept waiting by a dying disk, nor it by them.
const retryAfter = time.Second

// mirror is the backend that outlives its file: it holds in memory what is
// durable, answers from there, and can write it into a fresh file at any time.
type mirror struct {
	options Options
	// places are the state directory and, if there is one, the fallback.
	places []*place
	// values is what is durable.
	values memoryBackend

	// mu admits one writer, backup or close at a time.
	mu     sync.Mutex
	total  total // of values
	format string
	// tried is the highest sequence that any file may hold.
	tried uint64
	// file is where values are durable, in the place at; nil: the last write
	// failed, and what a file holds is not known.
	file *boltBackend
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
	// known is fault, for those who must not wait for mu.
	known atomic.Pointer[error]
	// backedUp is when the newest backup was made.
	backedUp time.Time
	restored *Restored
}

func newMirror(dir string, o Options) *mirror {
	m := &mirror{options: o, format: formatVersion, wrong: wrongFailed, values: memoryBackend{values: newKeyspace(nil)}}
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

func (m *mirror) view(fn func(reader)) error { return m.values.view(fn) }

// update implements backend. Its only error is ErrDisk.
func (m *mirror) update(c change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		next := m.next(c)
		err := m.write(c, next)
		if err == nil {
			m.settle(c, next)
			return nil
		}
		return m.leave(c, "a change could not be written to the state file, which is not used any more", err)
	} else if since := time.Since(m.faultAt); since < retryAfter {
		return m.fault
	}
	return m.recover(c)
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

// next is the total after c, under a sequence that no file has yet.
func (m *mirror) next(c change) total {
	sum := uint64(m.total.Sum) ^ uint64(newTotal(m.total.Sequence, 0).Sum)
	for key, value := range c {
		if old, ok := m.values.values.lookup(key); ok {
			sum ^= pairSum(key, old)
		}
		if value != nil {
			sum ^= pairSum(key, value)
		}
	}
	m.tried++
	return newTotal(m.tried, sum)
}

// write makes c durable in the file that is open.
func (m *mirror) write(c change, next total) error {
	sum, err := next.encode()
	if err != nil {
		return err
	}
	all := maps.Clone(c)
	all[keySum] = sum
	format := upgraded(m.format)
	if format != m.format {
		all[keyFormat] = []byte(format)
	}
	err = guard(func() error {
		if err := m.displaced(); err != nil {
			return err
		}
		if err := m.file.update(all); err != nil {
			return err
		}
		// Only now is it known where that went.
		_, err := m.found()
		return err
	})
	if err == nil {
		m.format = format
	}
	return err
}

// settle notes that c is durable.
func (m *mirror) settle(c change, next total) {
	_ = m.values.update(c) // a map takes everything
	m.total = next
}

// lose gives up the file that is open.
func (m *mirror) lose(what string, err error) {
	m.part(wrongFailed)
	m.tell(Trouble{What: what, Path: m.at.file(), Err: err})
}

// part closes the file, with which something is wrong.
func (m *mirror) part(wrong string) {
	_ = guard(m.file.close)
	m.file, m.wrong = nil, wrong
}

// renew writes everything, with the change c, into a fresh file in the first
// place that takes it. The file that it takes the place of is kept, under a
// name that tells what was wrong with it.
func (m *mirror) renew(c change, wrong string) error {
	return m.renewAs(c, func(p *place) string { return p.asideName(wrong, m.options.Now()) })
}

func (m *mirror) renewAs(c change, aside func(*place) string) error {
	m.format = upgraded(m.format)
	all := m.values.values.flat()
	for key, value := range c {
		if value == nil {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	var errs []error
	for _, p := range m.places {
		next := m.next(c)
		b, err := p.replace(fresh{all, next, m.format}, aside(p), m.options)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.settle(c, next)
		m.file, m.at, m.fault = b, p, nil
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

// close implements backend.
func (m *mirror) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.file != nil {
		// Nothing is lost by an error: what was written has been synced.
		if err := guard(m.file.close); err != nil {
			m.options.Log.Warn("closing the state file", "path", m.at.file(), "error", err)
		}
		m.file = nil
	}
	for _, p := range m.places {
		p.release()
	}
	return nil
}
