package sharedfile_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// fileOn is the shared file of a directory on that disk.
func fileOn(t *testing.T, d *filestest.Disk, dir string) *sharedfile.File {
	t.Helper()
	f, _ := newFile(t, sharedfile.Config{Path: filepath.Join(dir, "token.json"), Patience: time.Nanosecond, AllowUnsafe: true})
	if d != nil {
		f.On(d)
	}
	return f
}

// Whatever fails and whenever the power goes, other programs find a whole token
// in the file, the old one or the new, and what is theirs.
func TestEveryFaultOfAWrite(t *testing.T) {
	notes := strings.Repeat("theirs ", 200) // so that parts of the file could survive
	prepare := func(dir string) {
		write(t, filepath.Join(dir, "token.json"), `{"app_key": "key", "app_secret": "secret", "note": "`+notes+`",
			"access_token": "a1", "refresh_token": "r1", "token_expiry": "2030-01-02T03:04:05.000006"}`, 0o640)
	}
	seen := map[string]int{}
	n := filestest.Everything(t, prepare, func(d *filestest.Disk, dir string) error {
		return fileOn(t, d, dir).Write(document("a2", "r2"))
	}, func(c filestest.Case) {
		f := fileOn(t, nil, c.Dir)
		d, err := f.Read()
		refresh := d.RefreshToken.Reveal()
		if err != nil || d.AccessToken.Reveal() != "a"+strings.TrimPrefix(refresh, "r") {
			t.Fatalf("a reader sees %q, %v: %s", refresh, err, c.When)
		}
		seen[refresh]++
		switch {
		case c.Err == nil && refresh != "r2":
			t.Fatalf("it said that the token is durable, and it is lost: %s", c.When)
		case c.Err != nil && refresh == "r2" && !errors.Is(c.Err, filestest.ErrDown) && !errors.Is(c.Err, atomicfile.ErrNotDurable):
			t.Fatalf("it said %q, and the token is seen: %s", c.Err, c.When)
		}
		var theirs struct {
			Key  string `json:"app_key"`
			Note string `json:"note"`
		}
		path := filepath.Join(c.Dir, "token.json")
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &theirs)
		}
		info, _ := os.Stat(path)
		if err != nil || theirs.Key != "key" || theirs.Note != notes || info.Mode().Perm() != 0o640 {
			t.Fatalf("what is theirs is lost (mode %o): %v: %s", info.Mode().Perm(), err, c.When)
		}
	})
	if n < 12 || seen["r1"] == 0 || seen["r2"] == 0 {
		t.Errorf("%d operations, seen %v", n, seen)
	}
}

// A file that can't be read holds no token, but that is no reason to believe
// that nothing is there.
func TestEveryFaultOfARead(t *testing.T) {
	prepare := func(dir string) {
		write(t, filepath.Join(dir, "token.json"), `{"access_token": "a1", "refresh_token": "r1", "token_expiry": "2030-01-02T03:04:05.000006"}`, 0o600)
	}
	n := filestest.Everything(t, prepare, func(d *filestest.Disk, dir string) error {
		doc, err := fileOn(t, d, dir).Read()
		if err == nil && doc.RefreshToken.Reveal() != "r1" {
			t.Errorf("the refresh token is %q", doc.RefreshToken.Reveal())
		}
		if sharedfile.Nothing(err) {
			t.Errorf("it counts as nothing: %v", err)
		}
		return err
	}, func(filestest.Case) {})
	if n < 4 {
		t.Errorf("%d operations", n)
	}
}

// Whoever is told that he has the lock has it, and whoever is not leaves it to
// the next.
func TestEveryFaultOfTheLock(t *testing.T) {
	for name, lock := range map[string]bool{"there": true, "created": false} {
		t.Run(name, func(t *testing.T) {
			locked := 0
			n := filestest.Everything(t, func(dir string) {
				write(t, filepath.Join(dir, "token.json"), "{}", 0o640)
				if lock {
					write(t, filepath.Join(dir, "token.json.lock"), "", 0o640)
				}
			}, func(d *filestest.Disk, dir string) error {
				release, err := fileOn(t, d, dir).Lock(t.Context())
				other, otherErr := fileOn(t, nil, dir).Lock(t.Context())
				if held := (*sharedfile.HeldError)(nil); err == nil && !errors.As(otherErr, &held) || err != nil && otherErr != nil {
					t.Errorf("locked: %v; then another: %v\n%s", err, otherErr, d)
				}
				if otherErr == nil {
					_ = other()
				}
				if err == nil {
					locked++
					_ = release()
					if again, err := fileOn(t, nil, dir).Lock(t.Context()); err != nil {
						t.Errorf("it was not given back: %v\n%s", err, d)
					} else {
						_ = again()
					}
				}
				return err
			}, func(filestest.Case) {})
			if n < 3 || locked == 0 {
				t.Errorf("%d operations, locked %d times", n, locked)
			}
		})
	}
}
