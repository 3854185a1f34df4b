package sharedfile

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// Shelf keeps locks of shared files for attempts that nobody knows the end of, and
// that go on soon: what a file holds may be spent. Files that may have one lock
// file have one Shelf, or they would keep each other out: whoever of them comes
// first takes the lock from it, and puts it back as long as another still
// claims it. The zero value is empty. It is safe for concurrent use.
type Shelf struct {
	mu    sync.Mutex
	locks []*shelved
}

// shelved is one lock that is kept, of whatever lock file.
type shelved struct {
	lock carrier
	is   fs.FileInfo // of the lock file
	user *lockFile   // who has it now; nil: it is on the shelf
	used carrier     // the copy of it that he has
	// claims are whose attempts it is kept for, and what ends each.
	claims map[*lockFile]*time.Timer
}

// keep notes that l claims the lock for d, which user has now, nil: nobody. The
// shelf owns lock then.
func (s *Shelf) keep(l *lockFile, lock carrier, is fs.FileInfo, d time.Duration, user *lockFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(is)
	switch {
	case k == nil:
		k = &shelved{lock: lock, is: is, claims: map[*lockFile]*time.Timer{}}
		s.locks = append(s.locks, k)
	case k.lock != lock:
		// One lock has one open file: what was there carries the same, or none.
		if k.lock != k.used {
			_ = k.lock.Close()
		}
		k.lock = lock
	}
	if user != nil {
		k.user, k.used = user, lock
	}
	if over := k.claims[l]; over != nil {
		over.Stop()
	}
	var over *time.Timer
	over = time.AfterFunc(d, func() { s.end(l, func(k *shelved) bool { return k.claims[l] == over }) })
	k.claims[l] = over
}

// of returns the lock that is kept of a lock file; nil: there is none. The caller holds s.mu.
func (s *Shelf) of(is fs.FileInfo) *shelved {
	for _, k := range s.locks {
		if os.SameFile(k.is, is) {
			return k
		}
	}
	return nil
}

// take gives l the lock of the file that is named, nil if there is none on the
// shelf. That is what l has claimed it for.
func (s *Shelf) take(l *lockFile, named fs.FileInfo) carrier {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(named)
	if k == nil || k.user != nil {
		return nil
	}
	k.unclaim(l)
	k.user, k.used = l, k.lock
	return k.lock
}

// putBack ends the use of a lock that l has. It stays on the shelf while it is
// claimed; otherwise it is the caller's to give back. claimed: by l itself.
func (s *Shelf) putBack(l *lockFile, lock carrier) (stays, claimed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.locks {
		if k.user != l {
			continue
		}
		k.user, k.used = nil, nil
		_, claimed = k.claims[l]
		if stays = len(k.claims) > 0; !stays {
			s.drop(k)
		}
		if other := k.lock; other != lock { // another copy of it has come meanwhile
			if stays {
				other = lock
			}
			_ = other.Close()
		}
		return stays, claimed
	}
	return false, false
}

// end ends what l claims, if it is meant, and gives back what nobody claims any
// more.
func (s *Shelf) end(l *lockFile, meant func(*shelved) bool) {
	s.mu.Lock()
	var free []carrier
	ended := false
	for _, k := range slices.Clone(s.locks) {
		if _, claims := k.claims[l]; !claims || !meant(k) {
			continue
		}
		ended = true
		k.unclaim(l)
		if len(k.claims) == 0 && k.user == nil {
			s.drop(k)
			free = append(free, k.lock)
		}
	}
	s.mu.Unlock()
	for _, lock := range free {
		_ = unlock(lock)
	}
	if ended {
		l.withdraw()
	}
}

// dead forgets a lock that l has taken and that is none any more.
func (s *Shelf) dead(l *lockFile, lock carrier) {
	s.mu.Lock()
	var all []*lockFile
	for _, k := range s.locks {
		if k.user == l {
			for by := range k.claims {
				k.unclaim(by)
				all = append(all, by)
			}
			s.drop(k)
			if k.lock != lock { // another copy of it has come meanwhile
				_ = k.lock.Close()
			}
			break
		}
	}
	s.mu.Unlock()
	_ = lock.Close()
	for _, by := range append(all, l) {
		by.withdraw()
	}
}

func (k *shelved) unclaim(l *lockFile) {
	if over := k.claims[l]; over != nil {
		over.Stop()
		delete(k.claims, l)
	}
}

// drop is called with s.mu held.
func (s *Shelf) drop(k *shelved) {
	s.locks = slices.DeleteFunc(s.locks, func(other *shelved) bool { return other == k })
}
