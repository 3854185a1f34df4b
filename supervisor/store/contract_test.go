package store_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

func TestJournalContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		dir := filepath.Join(fastDir(t), "state")
		return func() (store.Store, error) { return store.Open(dir, store.Options{}) }
	})
}

// brittle is a store whose file fails at every seventh write: now with an
// error, now with a panic.
type brittle struct {
	*store.Journal
	writes atomic.Int64
}

func (b *brittle) wear() {
	switch b.writes.Add(1) % 14 {
	case 6:
		b.BreakFile()
	case 13:
		b.StopWrites()
	}
}

func (b *brittle) Intend(ctx context.Context, in store.Intent) error {
	b.wear()
	return b.Journal.Intend(ctx, in)
}

func (b *brittle) Commit(ctx context.Context, rec store.Record) error {
	b.wear()
	return b.Journal.Commit(ctx, rec)
}

// The contract holds while the disk fails again and again.
func TestBrittleContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		dir := filepath.Join(fastDir(t), "state")
		return func() (store.Store, error) {
			s, err := store.Open(dir, store.Options{})
			if err != nil {
				return nil, err
			}
			if s.Restored() != nil {
				t.Errorf("restored: %+v", s.Restored())
			}
			return &brittle{Journal: s}, nil
		}
	})
}

func TestMemoryContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) storetest.Opener {
		m := store.NewMemory()
		return func() (store.Store, error) {
			m = m.Reopen()
			return m, nil
		}
	})
}

// Two keepers have the rules of the one engine between them. The file lets one handle have
// its directory, so that both use that one.
func TestContractOfTwoKeepers(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		storetest.RunKeepers(t, func(testing.TB) storetest.Opener {
			m := store.NewMemory()
			return func() (store.Store, error) { return m.Reopen(), nil }
		}, storetest.TwoHandles)
	})
	t.Run("journal", func(t *testing.T) {
		storetest.RunKeepers(t, func(t testing.TB) storetest.Opener {
			dir := filepath.Join(fastDir(t), "state")
			return func() (store.Store, error) { return store.Open(dir, store.Options{}) }
		}, storetest.OneHandle)
	})
}
