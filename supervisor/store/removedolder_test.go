package store_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// Of two state files the one that goes further knows which version is the newest.
func TestAnOlderStateFileIsNotTheNewest(t *testing.T) {
	for lost, want := range map[string]int{"before": 5, "behind": -5} {
		w := begin(t)
		commit(t, w.s, "main", 1, 3)
		commit(t, w.s, "old", 1, 1)
		commit(t, w.s, "quiet", 1, 1)
		stale := read(t, w.file())
		w.another("before")
		commit(t, w.s, "main", 4, 5)
		must(t, storetest.Forget(t.Context(), w.s, "old"))
		w.another("behind")
		w.another("last")
		w.damage(lost)
		fallback := filepath.Join(filepath.Dir(w.dir), "fallback")
		place := store.FallbackOf(w.dir, fallback)
		must(t, errors.Join(os.MkdirAll(place, 0o700), os.Chmod(fallback, 0o700), os.Rename(w.file(), filepath.Join(place, store.FileName)),
			os.WriteFile(w.file(), stale, 0o600)))
		s, err := store.Open(w.dir, store.Options{Fallback: fallback})
		must(t, err)
		w.s = s
		if got := w.versions(); !maps.Equal(got, map[string]int{"main": want, "quiet": -1}) {
			t.Errorf("%s: came back: %v, want %d", lost, got, want)
		}
		must(t, s.Close())
	}
}
