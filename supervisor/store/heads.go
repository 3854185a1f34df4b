package store

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Head is what tells one version of an account's record from another, without
// its token.
type Head struct {
	Account, Provider string
	Version           uint64
	StoredAt          time.Time
}

func headOf(r Record) Head { return Head{r.Account, r.Provider, r.Version, r.StoredAt} }

func byAccount(h Head, account string) int { return strings.Compare(h.Account, account) }

// heads is the list of all heads, which those who ask share: it is copied when
// something has changed since.
type heads struct {
	mu   sync.Mutex
	list []Head          // nil: nobody has asked
	news map[string]bool // accounts whose head in list is not the newest
}

func (h *heads) changed(account string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.list == nil {
		return
	}
	if h.news == nil {
		h.news = map[string]bool{}
	}
	h.news[account] = true
}

// headList returns the heads of all records, ordered by account, and of those that are
// held above them. The caller holds s.mu.
func (s *state) headList(held map[string]Record) []Head {
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	if s.heads.list == nil {
		s.heads.list = s.allHeads()
	}
	if len(s.heads.news) > 0 {
		now := make([]Head, 0, len(s.heads.news))
		for name := range s.heads.news {
			if r := s.of(name).record; r.Version > 0 {
				now = append(now, headOf(r))
			}
		}
		if len(now) < len(s.heads.news) { // some are gone; who has the list keeps it as it was
			s.heads.list = slices.DeleteFunc(slices.Clone(s.heads.list), func(h Head) bool {
				return s.heads.news[h.Account] && s.of(h.Account).record.Version == 0
			})
		}
		s.heads.list = withHeads(s.heads.list, now)
		s.heads.news = nil
	}
	above := make([]Head, 0, len(held))
	for name, r := range held {
		if r.Version > s.of(name).record.Version {
			above = append(above, headOf(r))
		}
	}
	return withHeads(s.heads.list, above)
}

// allHeads are the heads of all records, ordered by account. The caller holds s.mu.
func (s *state) allHeads() []Head {
	all := make([]Head, 0, len(s.accounts))
	for _, a := range s.accounts {
		if a.record.Version > 0 {
			all = append(all, headOf(a.record))
		}
	}
	slices.SortFunc(all, func(a, b Head) int { return strings.Compare(a.Account, b.Account) })
	return all
}

// withHeads is list with those of now in the place of the accounts' own.
func withHeads(list, now []Head) []Head {
	if len(now) == 0 {
		return list
	}
	list = slices.Grow(slices.Clone(list), len(now))
	known := len(list)
	for _, h := range now {
		if n, ok := slices.BinarySearchFunc(list[:known], h.Account, byAccount); ok {
			list[n] = h
		} else {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b Head) int { return strings.Compare(a.Account, b.Account) })
	return slices.Clip(list)
}
