package spool

import (
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// keptAside is how many unread answers of one account are kept, the newest.
const keptAside = 3

// Aside returns the file into which [Spool.Settle] has put the answer of an
// attempt aside; ok is false if there is none.
func (s *Spool) Aside(attempt string) (path string, ok bool) {
	for _, p := range s.places {
		path := filepath.Join(p.dir, asidePrefix+url.PathEscape(attempt))
		if _, err := s.sys.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

// thinOut removes all but the newest unread answers of an account. A file that
// does not say whose it is stays, and so does all of a directory that can't be
// read: the next one that is put aside tries again.
func (p *place) thinOut(account string) {
	entries, err := p.sys.ReadDir(p.dir)
	if err != nil {
		return
	}
	type kept struct {
		path string
		h    header
	}
	var all []kept
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), asidePrefix) {
			continue
		}
		path := filepath.Join(p.dir, e.Name())
		if h, ok := p.headerOf(path); ok && h.Account == account {
			all = append(all, kept{path, h})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.h.BegunAt.Compare(a.h.BegunAt) })
	for _, k := range all[min(len(all), keptAside):] {
		_ = p.sys.Remove(k.path)
	}
}

func (p *place) headerOf(path string) (header, bool) {
	f, err := p.sys.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, fs.FileMode(0))
	if err != nil {
		return header{}, false
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, answerOffset))
	if err != nil {
		return header{}, false
	}
	h, _, inUse := decodeSlot(b)
	return h, inUse
}
