package spool

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Of each account the newest unread answers are kept, and can be named.
func TestOnlyTheNewestUnreadAnswersAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	for n := range 5 {
		for _, account := range []string{"main", "other"} {
			if account == "other" && n > 0 {
				continue
			}
			id := fmt.Sprintf("%s-%d", account, n)
			record(t, begin(t, s, id, account), id)
			if err := s.Settle(id, true); err != nil {
				t.Fatal(err)
			}
			if path, ok := s.Aside(id); !ok || path != filepath.Join(dir, "unread-"+id) {
				t.Errorf("%s is at %q %t", id, path, ok)
			}
		}
	}
	for id, want := range map[string]bool{"main-0": false, "main-1": false, "main-2": true, "main-3": true, "main-4": true, "other-0": true} {
		if _, ok := s.Aside(id); ok != want {
			t.Errorf("%s is kept: %t, want %t", id, ok, want)
		}
	}
}
