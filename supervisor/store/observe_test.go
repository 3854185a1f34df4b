package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Who observes a store has all of it, and what he stores is nowhere; another may have it
// meanwhile.
func TestObserve(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	rec := store.Record{Account: "a", Version: 1, Grant: 1, Token: sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("y")}}
	none, err := store.Observe(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(none.Commit(t.Context(), rec), none.Close()); err != nil {
		t.Errorf("where there is no store: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it was made")
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Observe(dir, store.Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	if err := errors.Join(s.Commit(t.Context(), rec), s.Close()); err != nil {
		t.Fatal(err)
	}
	before := filestest.Contents(t, dir)
	o, err := store.Observe(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.Load(t.Context(), "a"); err != nil || got.Version != 1 || got.Token.RefreshToken.Reveal() != "y" {
		t.Errorf("%+v, %v", got, err)
	}
	next := rec
	next.Version = 2
	if err := o.Commit(t.Context(), next); err != nil {
		t.Error(err)
	}
	o.Look()
	if got, err := o.Load(t.Context(), "a"); err != nil || got.Version != 2 || o.Fault() != nil {
		t.Errorf("%+v, %v, %v", got, err, o.Fault())
	}
	if filestest.Contents(t, dir) != before {
		t.Error("it was written")
	}
	s, err = store.Open(dir, store.Options{})
	if err != nil {
		t.Fatalf("another can't have it: %v", err)
	}
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Version != 1 {
		t.Errorf("the other has %+v, %v", got, err)
	}
	if err := errors.Join(o.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// What stands in the fallback directory is observed if it is newer.
func TestObserveTheFallback(t *testing.T) {
	dir, fallback := filepath.Join(t.TempDir(), "state"), t.TempDir()
	for n, place := range []string{dir, store.FallbackOf(dir, fallback)} {
		s, err := store.Open(place, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rec := store.Record{Account: "a", Grant: 1, Token: sdk.Token{RefreshToken: sdk.NewSecret("y")}}
		for range n + 1 {
			rec.Version++
			if err := s.Commit(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for with, want := range map[string]uint64{"": 1, fallback: 2} {
		o, err := store.Observe(dir, store.Options{Fallback: with})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Load(t.Context(), "a"); err != nil || got.Version != want {
			t.Errorf("with fallback %q: %+v, %v", with, got, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
