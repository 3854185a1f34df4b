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

func byAccount(a, b Head) int { return strings.Compare(a.Account, b.Account) }

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
	if h.list != nil {
		h.news[account] = true
	}
}

// headList returns the heads of all records, ordered by account, and of those that are
// held above them. The caller holds s.mu, or is alone.
func (s *state) headList(held map[string]Record) []Head {
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	var now, above []Head
	if s.heads.list == nil {
		for _, a := range s.accounts {
			now = append(now, headOf(a.record))
		}
	}
	for name := range s.heads.news {
		h := headOf(s.of(name).record)
		h.Account = name // also of one that is gone
		now = append(now, h)
	}
	s.heads.list, s.heads.news = withHeads(s.heads.list, now), map[string]bool{}
	for name, r := range held {
		if r.Version > s.of(name).record.Version {
			above = append(above, headOf(r))
		}
	}
	return withHeads(s.heads.list, above)
}

// withHeads is list with those of now in the place of the accounts' own, and without those
// of no version. Who has the list keeps it as it was.
func withHeads(list, now []Head) []Head {
	if len(now) == 0 {
		return list
	}
	list = slices.Grow(slices.Clone(list), len(now))
	known := len(list)
	for _, h := range now {
		if n, ok := slices.BinarySearchFunc(list[:known], h, byAccount); ok {
			list[n] = h
		} else {
			list = append(list, h)
		}
	}
	list = slices.DeleteFunc(list, func(h Head) bool { return h.Version == 0 })
	slices.SortFunc(list, byAccount)
	return slices.Clip(list)
}
