package spool

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is kept of what nobody could read, the newest: unread answers of one
// account, and damaged slots of one directory that don't say whose they are.
// No file of either is longer than a slot with the longest answer (4 MiB).
const (
	keptAside   = 3
	keptDamaged = 16
)

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

// damagedName is what a damaged slot is called when it is put aside, behind
// asidePrefix: the slot's name, and the time in ns since 1970.
const damagedName = slotName + "-%d"

// kept is a file that was put aside.
type kept struct {
	path string
	h    header
}

// aside lists what was put aside of an account, the newest first. A file that does
// not say whose it is is left out, and so is all of a directory that can't be read.
func (p *place) aside(account string) []kept {
	entries, err := p.sys.ReadDir(p.dir)
	if err != nil {
		return nil
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
	return all
}

// thinOut removes all but the newest unread answers of an account, of which that in
// latest was put aside just now, whatever its time says; and the first one to the
// refresh token that the newest was sent: a server that replaces it does so once, and
// later answers to it hold no token. What can't be removed, or found, is so when the
// next one is put aside.
func (p *place) thinOut(account, latest string) {
	all := p.aside(account)
	if len(all) <= keptAside {
		return
	}
	if i := slices.IndexFunc(all, func(k kept) bool { return k.path == latest }); i > 0 {
		k := all[i]
		all = slices.Insert(slices.Delete(all, i, i+1), 0, k)
	}
	const last = keptAside - 1
	for i := len(all) - 1; i > last; i-- {
		if sent := all[0].h.Fingerprint; sent != "" && all[i].h.Fingerprint == sent {
			all[last], all[i] = all[i], all[last]
			break
		}
	}
	for _, k := range all[keptAside:] {
		_ = p.sys.Remove(k.path)
	}
}

// damaged is a damaged slot that was put aside, and when, by its name.
type damaged struct {
	path string
	at   int64
}

// putDamagedAside keeps a slot's file of which nobody can tell whose it is, and
// removes all but the newest of its kind. The newest has the latest name also if the
// clock is behind.
func (p *place) putDamagedAside(path string) {
	at := time.Now().UnixNano()
	all := p.damagedAside()
	if len(all) > 0 {
		at = max(at, all[0].at+1)
	}
	if p.sys.Rename(path, filepath.Join(p.dir, fmt.Sprintf("%s%s-%d", asidePrefix, filepath.Base(path), at))) != nil {
		return
	}
	for _, d := range all[min(len(all), keptDamaged-1):] {
		_ = p.sys.Remove(d.path)
	}
}

// damagedAside lists the damaged slots that were put aside, the newest first, as far
// as they can be found.
func (p *place) damagedAside() (all []damaged) {
	entries, err := p.sys.ReadDir(p.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		var slot int
		var at int64
		if n, _ := fmt.Sscanf(e.Name(), asidePrefix+damagedName, &slot, &at); n != 2 {
			continue
		}
		path := filepath.Join(p.dir, e.Name())
		if _, says := p.headerOf(path); !says {
			all = append(all, damaged{path, at})
		}
	}
	slices.SortFunc(all, func(a, b damaged) int { return cmp.Compare(b.at, a.at) })
	return all
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
