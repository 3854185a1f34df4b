package store_test

import (
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

func TestBoltContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		dir := filepath.Join(t.TempDir(), "state")
		return func() (store.Store, error) { return store.Open(dir, store.Options{}) }
	})
}

func TestMemoryContract(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Opener {
		m := store.NewMemory()
		return func() (store.Store, error) {
			m = m.Reopen()
			return m, nil
		}
	})
}
