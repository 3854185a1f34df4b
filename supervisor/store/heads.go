package store

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Head is what tells one version of an account's record from another, without
// its token.
type Head struct {
	Account, Provider string
	Version           uint64
	StoredAt          time.Time
}

func headOf(r *Record) Head { return Head{r.Account, r.Provider, r.Version, r.StoredAt} }

// headList returns the heads of all records, ordered by account, with those that are held
// above them. The caller holds s.mu, or is alone.
func (s *state) headList(held map[string]Record) (all []Head) {
	names := s.inOrder()
	all = make([]Head, 0, len(names)+len(held))
	for _, name := range names {
		r := &s.accounts[name].record
		if above, ok := held[name]; ok && above.Version > r.Version {
			r = &above
		}
		if r.Version > 0 {
			all = append(all, headOf(r))
		}
	}
	stored := len(all)
	for name, r := range held {
		if s.accounts[name] == nil {
			all = append(all, headOf(&r))
		}
	}
	if len(all) > stored {
		slices.SortFunc(all, func(a, b Head) int { return strings.Compare(a.Account, b.Account) })
	}
	return all
}

// inOrder are the names of all accounts, which are put in order when somebody asks after
// one has come or gone. The caller holds s.mu, or is alone.
func (s *state) inOrder() []string {
	order := s.order.Load()
	if order == nil {
		names := slices.Sorted(maps.Keys(s.accounts))
		order = &names
		s.order.Store(order)
	}
	return *order
}
