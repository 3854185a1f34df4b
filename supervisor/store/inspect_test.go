package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

func TestPeek(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(dir, store.FileName)
	if _, err := store.Peek(dir); err != nil {
		t.Errorf("no directory: %v", err)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Peek(dir); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	rec := store.Record{Account: "a", Version: 1, Grant: 1, Token: sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("y")}}
	if err := errors.Join(s.Commit(context.Background(), rec), s.Close()); err != nil {
		t.Fatal(err)
	}
	before := filestest.Contents(t, dir)
	if _, err := store.Peek(dir); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Peek(dir); err == nil || !strings.Contains(err.Error(), "is open to others (mode 0644)") {
		t.Errorf("one that all can read: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if after := filestest.Contents(t, dir); after != before {
		t.Errorf("looking changed it: %q, %q before", after, before)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 1<<18), 4096) // all but the first block of what is in it
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Peek(dir); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a damaged one: %v", err)
	}
}

func TestPeekedRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if c, err := store.Peek(dir); err != nil || len(c.Records()) != 0 {
		t.Errorf("no directory: %v, %v", c.Records(), err)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rec := store.Record{Account: "a", Version: 1, Grant: 1, Token: sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("y")}}
	if err := errors.Join(s.Commit(t.Context(), rec), s.SaveAlert(t.Context(), event.Alert{Key: "overload:saxo"})); err != nil {
		t.Fatal(err)
	}
	if c, err := store.Peek(dir); !errors.Is(err, store.ErrInUse) || len(c.Records()) != 0 {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := filestest.Contents(t, dir)
	c, err := store.Peek(dir)
	all := c.Records()
	if err != nil || len(all) != 1 || all[0].Account != "a" || all[0].Token.RefreshToken.Reveal() != "y" {
		t.Errorf("records: %+v, %v", all, err)
	}
	if filestest.Contents(t, dir) != before {
		t.Error("looking changed it")
	}
}

// Whatever can't be read of an account, it is said whose it is and what to do.
func TestWhatCantBeReadSaysWhatToDo(t *testing.T) {
	for _, part := range []string{"record", "intent", "login", "requests", "refusal"} {
		path := filepath.Join(t.TempDir(), "file")
		f, err := journal.Create(path, journal.Fresh{
			Values: map[string][]byte{"accounts/main/" + part: []byte("{")}, Sequence: 1, Format: journal.Version,
		})
		must(t, err)
		f.Drop()
		r, err := store.ReadReport(path)
		must(t, err)
		for _, want := range []string{part, "account main", "keep the file", "restore a backup"} {
			if !strings.Contains(r.Damage, want) {
				t.Errorf("%s: %q does not say %q", part, r.Damage, want)
			}
		}
	}
}
