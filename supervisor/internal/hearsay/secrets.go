package hearsay

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

const (
	// shortest secret that is looked for, in bytes. What is shorter is in every
	// other text by chance ("live", a number of the day): redacting it would
	// make texts useless and, by what is missing, tell it.
	shortest = 6
	// Of a long secret its pieces are known too, so that one that was cut off
	// is found, and both parts of one that goes on in the next line.
	piece   = 12
	pieced  = 2 * piece
	ofOne   = 3  // pieces of one secret
	newest  = 8  // secrets that are kept of one account: those of two versions
	settled = 64 // of one account's settings: a key of several lines is many
)

// Secrets are those that one plugin has been told, over all its processes: the
// newest ones of each account. No secret is kept, only its hash, so that a dump
// of the memory holds no old token because of it. Secrets is safe for
// concurrent use.
type Secrets struct {
	seed  maphash.Seed
	delay delay

	mu sync.RWMutex
	// declared are the names of settings whose values are secrets.
	declared []string
	// ends leads from the last bytes of a secret to its marks, of which those
	// with the same end form a chain.
	ends  map[uint64]int32
	marks []mark
	free  []int32
	// owners holds whose secrets are known, newest last.
	owners map[string][]known
}

// mark is a secret, or a piece of one, to look for.
type mark struct {
	hash uint64
	end  uint64
	size uint32
	next int32 // in the chain; -1: the last
	refs int32
	kind kind
}

// kind of a mark.
type kind uint8

const (
	token   kind = iota
	setting      // or what else may stand in an address for a good reason
	part         // a piece: what is around it belongs to the secret
	begun        // how a short one begins: it is a secret where a text ends with it
)

// known is what is kept of one secret.
type known struct {
	hash  uint64
	marks [1 + ofOne]int32 // -1: none
}

// New returns an empty set.
func New() *Secrets {
	return &Secrets{seed: maphash.MakeSeed(), ends: map[uint64]int32{}, owners: map[string][]known{}}
}

// NewDeclared is New for a plugin of which it is known that settings of these
// names are secrets, whatever they look like.
func NewDeclared(settings []string) *Secrets {
	s := New()
	s.declared = settings
	return s
}

// declare takes in that settings of these names are secrets. Nothing takes it
// back: an earlier process of the plugin may still be heard.
func (s *Secrets) declare(settings []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range settings {
		if !slices.Contains(s.declared, name) {
			s.declared = append(slices.Clip(s.declared), name)
		}
	}
}

// DeclareAs takes in of which settings another one knows that they are secrets.
func (s *Secrets) DeclareAs(other *Secrets) {
	other.mu.RLock()
	settings := other.declared
	other.mu.RUnlock()
	s.declare(settings)
}

// isDeclared says whether the settings of that name are secrets.
func (s *Secrets) isDeclared(setting string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.declared, setting)
}

// learn takes in secrets of an owner, of whom at most keep are remembered.
func (s *Secrets) learn(owner string, keep int, k kind, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.owners[owner]
	for _, value := range values {
		if len(value) < shortest {
			continue
		}
		all = s.remember(all, value, k)
		if len(all) > keep {
			for _, m := range all[0].marks {
				s.drop(m)
			}
			all = append(all[:0], all[1:]...)
		}
	}
	if len(all) > 0 {
		s.owners[owner] = all
	}
}

// remember puts a secret behind the others of its owner. The caller holds mu.
func (s *Secrets) remember(all []known, value string, k kind) []known {
	hash := maphash.String(s.seed, value)
	for i, one := range all {
		if one.hash == hash {
			return append(append(all[:i], all[i+1:]...), one)
		}
	}
	one := known{hash: hash}
	for i := range one.marks {
		one.marks[i] = -1
	}
	one.marks[0] = s.add(value, hash, k)
	for i, p := range pieces(value) {
		one.marks[1+i] = s.add(p, maphash.String(s.seed, p), part)
	}
	if b := beginning(value); b != "" {
		one.marks[1] = s.add(b, maphash.String(s.seed, b), begun)
	}
	return append(all, one)
}

// beginning is the first half of a secret that is too short for pieces, by which
// it is found when it goes on in the next line; "": that half is too short, or may
// be a word.
func beginning(value string) string {
	half := value[:(len(value)+1)/2]
	if len(half) < shortest || len(value) >= pieced || !strings.ContainsAny(half, "0123456789") {
		return ""
	}
	return half
}

// pieces of a secret by which it is found when a part of it is missing. The
// header of a JSON web token is that of many.
func pieces(value string) []string {
	if header, rest, ok := strings.Cut(value, "."); ok && strings.HasPrefix(header, "eyJ") {
		value = rest
	}
	if len(value) < pieced {
		return nil
	}
	half := (len(value) - piece) / 2
	return []string{value[:piece], value[half : half+piece], value[len(value)-piece:]}
}

// add makes or finds the mark of value.
func (s *Secrets) add(value string, hash uint64, k kind) int32 {
	end := endOf(value)
	head, ok := s.ends[end]
	if !ok {
		head = -1
	}
	for i := head; i >= 0; i = s.marks[i].next {
		if m := &s.marks[i]; m.hash == hash && m.size == uint32(len(value)) {
			m.refs++
			m.kind = min(m.kind, k)
			return i
		}
	}
	m := mark{hash: hash, end: end, size: uint32(len(value)), next: head, refs: 1, kind: k}
	var at int32
	if n := len(s.free); n > 0 {
		at, s.free = s.free[n-1], s.free[:n-1]
		s.marks[at] = m
	} else {
		at = int32(len(s.marks))
		s.marks = append(s.marks, m)
	}
	s.ends[end] = at
	return at
}

// drop gives up one reference to a mark.
func (s *Secrets) drop(at int32) {
	if at < 0 {
		return
	}
	m := &s.marks[at]
	if m.refs--; m.refs > 0 {
		return
	}
	head := s.ends[m.end]
	switch {
	case head != at:
		for s.marks[head].next != at {
			head = s.marks[head].next
		}
		s.marks[head].next = m.next
	case m.next < 0:
		delete(s.ends, m.end)
	default:
		s.ends[m.end] = m.next
	}
	s.free = append(s.free, at)
}

// endBits are those of the shortest secret.
const endBits = 1<<(8*shortest) - 1

// endOf packs the last bytes of a secret.
func endOf(value string) (end uint64) {
	for i := len(value) - shortest; i < len(value); i++ {
		end = end<<8 | uint64(value[i])
	}
	return end
}

// in finds the marks in text and calls f with where each stands.
func (s *Secrets) in(text []byte, f func(from, to int, k kind)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.ends) == 0 {
		return
	}
	var end uint64
	for i, c := range text {
		end = (end<<8 | uint64(c)) & endBits
		if i+1 < shortest {
			continue
		}
		at, ok := s.ends[end]
		for ; ok && at >= 0; at = s.marks[at].next {
			m := &s.marks[at]
			from := i + 1 - int(m.size)
			if from >= 0 && maphash.Bytes(s.seed, text[from:i+1]) == m.hash {
				f(from, i+1, m.kind)
			}
		}
	}
}
