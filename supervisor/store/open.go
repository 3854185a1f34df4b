package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// opening is a mirror of which nothing is known yet.
type opening struct{ *mirror }

// open finds the newest state, makes a backup of it, and opens its file; or
// restores the store if that can't be done. Nothing is written before it is
// clear that no newer program has been here.
func (m opening) open() error {
	if err := m.places[0].claim(m.options.Timeout); err != nil {
		return err
	}
	live, err := m.readLive()
	if err != nil {
		return err
	}
	var best *source
	for n, s := range live {
		switch {
		case s.err != nil:
			return m.restore(live, fmt.Errorf("state file %s: %w", s.path, s.err))
		case s.good() && (best == nil || s.sequence > best.sequence):
			best = &live[n]
		}
	}
	if best == nil {
		return m.restore(live, errGone)
	}
	if best.moved != "" {
		return fmt.Errorf("%w to %s; what is in %s is not the newest any more", ErrMoved, best.moved, best.path)
	}
	if path, acked := m.newestBackupOf(m.places); acked > best.sequence {
		for n := range live {
			live[n].gap = math.MaxInt64 // none of it is known to be the newest
		}
		return m.restore(live, fmt.Errorf("%w: %s ends with transaction %d, and its backup %s with %d: an older file has taken its place",
			ErrDamaged, best.path, best.sequence, path, acked))
	}
	m.adopt(*best)
	switch {
	case best.path != m.places[0].file():
		err = m.renew(nil, "older")
	case best.worn:
		m.options.Log.Warn("a part of the state file is damaged, all of which stands in it a second time; a fresh one takes its place", "path", best.path)
		err = m.renew(nil, "damaged")
	default:
		m.backupAtOpen(best)
		err = m.openInPlace(best)
	}
	if err != nil && !errors.Is(err, ErrDisk) {
		return err
	}
	m.retire(live)
	return nil
}

// newestBackupOf is the backup that goes furthest, and up to where.
func (m opening) newestBackupOf(places []*place) (newest string, acked uint64) {
	for _, p := range places {
		for _, path := range p.backupPaths() {
			if h, whole := headOf(path); whole && h.acked > acked {
				newest, acked = path, h.acked
			}
		}
	}
	return newest, acked
}

// readLive reads the state file of every place.
func (m opening) readLive() ([]source, error) {
	live := make([]source, 0, len(m.places))
	for n, p := range m.places {
		var s source
		err := checkFile(p.file())
		if err == nil {
			s, err = readSource(p.file())
		}
		if err != nil {
			if n > 0 {
				m.tell(Trouble{What: "the fallback directory can't be used", Path: p.dir, Err: err})
				continue
			}
			return nil, err
		}
		if errors.Is(s.err, ErrNewerFormat) {
			return nil, fmt.Errorf("state file %s: %w", s.path, s.err)
		}
		live = append(live, s)
	}
	return live, nil
}

// adopt takes what a good file holds.
func (m opening) adopt(s source) {
	m.state, m.last, m.tried = s.state, s.position, s.sequence
	m.format, _ = checkFormat(s.format)
}

// openInPlace goes on in the state file that is there.
func (m opening) openInPlace(s *source) (err error) {
	if m.file, err = openJournal(m.at.file(), s.image); err == nil {
		m.at.tidy()
		return nil
	}
	m.tell(Trouble{What: "the state file can't be written", Path: m.at.file(), Err: err})
	return m.recover(nil)
}

// retire takes a state file away from the fallback directory that is older than
// the one in use.
func (m opening) retire(live []source) {
	for n, p := range m.places {
		if n >= len(live) || live[n].empty || m.file == nil || p == m.at || p == m.places[0] {
			continue
		}
		what := "older"
		if live[n].err != nil {
			what = "damaged"
		}
		err := p.claim(m.options.Timeout)
		if err == nil {
			err = os.Rename(p.file(), p.asideName(what, m.options.Now()))
		}
		p.release()
		if err != nil {
			m.options.Log.Warn("an older state file stays in the fallback directory", "path", p.file(), "error", err)
		}
	}
}

// tidy removes what an interrupted replacement left, and all but the newest of
// the files in which a write failed. All that was ever durable in those is in
// the state file as well.
func (p *place) tidy() {
	const keep = 5
	_ = os.Remove(p.file() + nextSuffix)
	failed, _ := filepath.Glob(p.file() + ".failed-*")
	older, _ := filepath.Glob(p.file() + ".older-*")
	for _, paths := range [][]string{failed, older} {
		for _, path := range paths[:max(0, len(paths)-keep)] {
			_ = os.Remove(path)
		}
	}
}
