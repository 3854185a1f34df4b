package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Of each account the newest unread answers are kept, and can be named.
// The newest of an account, and the first one to the refresh token that the newest
// was sent.
func TestOnlyTheNewestUnreadAnswersAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	aside := func(account string, n int, sent string) {
		t.Helper()
		id := fmt.Sprintf("%s-%d", account, n)
		slot, _, err := s.Begin(Header{Attempt: id, Account: account, Kind: KindRefresh, Fingerprint: sent})
		if err != nil {
			t.Fatal(err)
		}
		record(t, slot, id)
		if err := s.Settle(id, true); err != nil {
			t.Fatal(err)
		}
		if path, ok := s.Aside(id); !ok || path != filepath.Join(dir, "unread-"+id) {
			t.Errorf("%s is at %q %t", id, path, ok)
		}
	}
	aside("other", 0, "")
	for n, sent := range []string{"one", "one", "two", "two", "two", "two", "two"} {
		aside("main", n, sent)
	}
	for n := range 5 {
		aside("login", n, "") // each of which spends a code of its own
	}
	for id, want := range map[string]bool{
		"main-0": false, "main-1": false, "main-2": true, "main-3": false, "main-4": false, "main-5": true, "main-6": true,
		"login-0": false, "login-1": false, "login-2": true, "login-3": true, "login-4": true, "other-0": true,
	} {
		if _, ok := s.Aside(id); ok != want {
			t.Errorf("%s is kept: %t, want %t", id, ok, want)
		}
	}
}

// Neither is what was put aside just now thinned out when the clock is behind.
func TestWhatIsPutAsideIsKeptWhateverTheClockSays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	tomorrow := time.Now().Add(24 * time.Hour)
	for n := range keptAside + 1 {
		id := fmt.Sprintf("old-%d", n)
		b, err := encodeHeader(header{Header: Header{Attempt: id, Account: "main"}, Progress: Answered, BegunAt: tomorrow.Add(time.Duration(n))})
		must(t, err)
		must(t, os.WriteFile(UnreadPath(dir, id), b, 0o600))
	}
	for n := range keptDamaged + 1 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("unread-slot-000-%d", tomorrow.UnixNano()+int64(n))), []byte("damaged"), 0o600))
	}
	record(t, begin(t, s, "now", "main"), "the answer")
	must(t, s.Settle("now", true))
	if _, ok := s.Aside("now"); !ok || len(s.places[0].aside("main")) != keptAside {
		t.Errorf("the newest answer is kept: %t", ok)
	}
	must(t, s.Close())
	for _, name := range []string{"slot-007", "slot-008"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("damaged just now"), 0o600))
	}
	open(t, dir, 1)
	for _, of := range []string{"007", "008"} {
		if kept := glob(t, dir, "unread-slot-"+of+"-*"); len(kept) != 1 {
			t.Errorf("the damaged slot %s is kept as %v", of, kept)
		}
	}
	if kept := glob(t, dir, "unread-slot-*"); len(kept) != keptDamaged {
		t.Errorf("%d damaged ones are kept", len(kept))
	}
}

// Of damaged slots that don't say whose they are, the newest of a directory are
// kept; what does say it is not counted with them, nor touched.
func TestOnlyTheNewestDamagedSlotsAreKept(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	owned, err := encodeHeader(header{Header: Header{Attempt: "a", Account: "main"}})
	if err != nil {
		t.Fatal(err)
	}
	write("unread-slot-000-1", owned)
	write("unread-slot-notes", []byte("of a person"))
	// The older have the later slot numbers: time decides, not the name's order.
	for n := range keptDamaged + 4 {
		write(fmt.Sprintf("unread-slot-%03d-%d", 99-n, 8+n), []byte("damaged"))
	}
	write("slot-000", []byte("damaged just now"))
	open(t, dir, 1)
	if kept := glob(t, dir, "unread-slot-*"); len(kept) != keptDamaged+2 {
		t.Errorf("%d files are kept: %v", len(kept), kept)
	}
	for name, want := range map[string]bool{
		"unread-slot-000-1": true, "unread-slot-notes": true,
		"unread-slot-095-12": false, "unread-slot-094-13": true, // 16 are left: the one of now and the 15 before it
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is kept: %t, want %t", name, err == nil, want)
		}
	}
}
