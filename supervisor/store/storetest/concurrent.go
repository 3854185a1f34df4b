package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// testEveryVersionOnce lets writers race for every version of a few accounts:
// each version must be won by exactly one of them, and what is stored must be
// the winner's.
func testEveryVersionOnce(t *testing.T, o Opener) {
	s := open(t, o)
	wins := everyVersionOnce(t, s)
	s = reopen(t, s, o)
	holdsWins(t, s, wins)
}

// win is who has committed a version of an account.
type win struct {
	account string
	version uint64
}

const wonVersions, wonAccounts = 20, 3

// everyVersionOnce has writers race over several handles on one state.
func everyVersionOnce(t *testing.T, handles ...store.Store) map[win][]string {
	const writers = 6
	ctx := t.Context()
	var (
		mu   sync.Mutex
		wins = make(map[win][]string)
		wg   sync.WaitGroup
	)
	for a := range wonAccounts {
		for w := range writers {
			s := handles[w%len(handles)]
			account, attempt := fmt.Sprint("acc-", a), fmt.Sprint("writer-", w)
			wg.Go(func() {
				for {
					r, err := s.Load(ctx, account)
					if errors.Is(err, store.ErrNotFound) {
						r, err = store.Record{Account: account}, nil
					}
					if err != nil {
						t.Error(err)
						return
					}
					if r.Version >= wonVersions {
						return
					}
					next := r.Next(Token(account, r.Version+1), store.OriginRefresh, attempt, start)
					err = s.Commit(ctx, next)
					if errors.Is(err, store.ErrConflict) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					key := win{account, next.Version}
					wins[key] = append(wins[key], attempt)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for _, s := range handles {
		holdsWins(t, s, wins)
	}
	return wins
}

// holdsWins sees that each version had one winner, and that the last one's is what is stored.
func holdsWins(t *testing.T, s store.Store, wins map[win][]string) {
	t.Helper()
	if len(wins) != wonAccounts*wonVersions {
		t.Errorf("%d versions were committed, want %d", len(wins), wonAccounts*wonVersions)
	}
	for key, by := range wins {
		if len(by) != 1 {
			t.Errorf("version %d of %s was committed by %v", key.version, key.account, by)
		}
	}
	for a := range wonAccounts {
		account := fmt.Sprint("acc-", a)
		r, err := s.Load(t.Context(), account)
		must(t, err)
		if by := wins[win{account, wonVersions}]; r.Version != wonVersions || len(by) != 1 || r.Attempt != by[0] {
			t.Errorf("%s holds version %d of %s, want %d of %v", account, r.Version, r.Attempt, wonVersions, by)
		}
	}
}

// testReadersWhileWriting has readers look while one writer writes: versions
// never go back, and none shows a record together with the intent that its
// commit ended.
func testReadersWhileWriting(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Commit(ctx, First("main")))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var seen uint64
			for {
				select {
				case <-done:
					return
				default:
				}
				heads, err := s.Heads(ctx)
				if err != nil || len(heads) != 1 {
					t.Errorf("%d heads, want 1: %v", len(heads), err)
					return
				}
				r, err := s.Load(ctx, "main")
				if err != nil {
					t.Error(err)
					return
				}
				if went := []uint64{seen, heads[0].Version, r.Version}; !slices.IsSorted(went) {
					t.Errorf("the version went through %d", went)
				}
				in, ok, err := s.Intent(ctx, "main")
				if err != nil || ok && in.Version < r.Version {
					t.Errorf("an intent of version %d stands beside version %d (%v)", in.Version, r.Version, err)
				}
				seen = r.Version
			}
		})
	}
	r := First("main")
	for n := uint64(2); n < 60; n++ {
		attempt := fmt.Sprint("a", n)
		must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: attempt, Version: r.Version}))
		r = r.Next(Token("main", n), store.OriginRefresh, attempt, start)
		must(t, s.Commit(ctx, r))
	}
	close(done)
	wg.Wait()
}
