package sharedfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// A file that is gone or damaged gets back what other programs had in it, its
// owner and its mode, also if it was seen whole by an earlier process only. The
// note that makes this possible holds no token.
func TestMendPutsBackWhatWasThere(t *testing.T) {
	const content = `{"app_key": "key", "app_secret": "secret", "note": "theirs",
		"access_token": "CANARY1", "refresh_token": "CANARY2", "token_expiry": "2030-01-02T03:04:05.000006"}`
	for name, damage := range map[string]func(path string) error{
		"gone":      os.Remove,
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"cut off":   func(path string) error { return os.Truncate(path, 30) },
		"made anew": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				state := t.TempDir()
				cfg := sharedfile.Config{Path: filepath.Join(t.TempDir(), "token.json"), Note: sharedfile.NotePath(state, "main")}
				write(t, cfg.Path, content, 0o640)
				if os.Geteuid() == 0 {
					if err := os.Chown(cfg.Path, 65534, 65533); err != nil {
						t.Fatal(err)
					}
				}
				before, err := os.Stat(cfg.Path)
				if err != nil {
					t.Fatal(err)
				}
				f, _ := newFile(t, cfg)
				if _, err := f.Read(); err != nil {
					t.Fatal(err)
				}
				if err := damage(cfg.Path); err != nil {
					t.Fatal(err)
				}
				if restarted {
					f, _ = newFile(t, cfg)
				}
				if _, err := f.Mend(document("a2", "r2")); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(cfg.Path)
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{`"app_key": "key"`, `"app_secret": "secret"`, `"note": "theirs"`, `"a2"`, `"r2"`} {
					if !strings.Contains(string(got), want) {
						t.Errorf("%s is not in %s", want, got)
					}
				}
				after, err := os.Stat(cfg.Path)
				if err != nil {
					t.Fatal(err)
				}
				was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
				if before.Mode() != after.Mode() || was.Uid != is.Uid || was.Gid != is.Gid {
					t.Errorf("mode %s, owner %d:%d", after.Mode(), is.Uid, is.Gid)
				}
				note, err := os.ReadFile(cfg.Note)
				info, _ := os.Stat(cfg.Note)
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the note: mode %s, %v", info.Mode(), err)
				}
				if known := string(sharedfile.LastWhole(cfg.Note, cfg.Path)); strings.Contains(string(note)+known, "CANARY") || !strings.Contains(known, `"secret"`) {
					t.Errorf("the note says %s", known)
				}
			})
		}
	}
}

// A refresh token that stands whole in what is left of a file is read, and the rest can be
// kept without a change to the file; of a file that is whole nothing is kept.
func TestTheRestOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.json")
	f, _ := newFile(t, sharedfile.Config{Path: path})
	holds := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	for content, token := range map[string]string{
		`{"refresh_token": "r2", "access_tok`: "r2",
		`{"refresh_token": "r`:                "",
		`{"app_key": "k"}`:                    "",
	} {
		write(t, path, content, 0o600)
		d, err := f.Read()
		if !sharedfile.Nothing(err) || d.RefreshToken.Reveal() != token || d.WrittenAt.IsZero() {
			t.Errorf("%s: %q written %s, %v", content, d.RefreshToken.Reveal(), d.WrittenAt, err)
		}
		kept, err := f.KeepRest()
		if whole := strings.HasSuffix(content, "}"); err != nil || (kept == "") != whole || !whole && holds(kept) != content {
			t.Errorf("%s: kept in %q, %v", content, kept, err)
		}
		if got := holds(path); got != content {
			t.Errorf("%s became %s", content, got)
		}
	}
}

// A note is no way in: one that others can read or write, or of another file,
// or damaged, counts as none.
func TestNoteThatIsNotOurs(t *testing.T) {
	const note = `{"path": "/bots/t.json", "mode": 384, "uid": 0, "gid": 0, "content": "e30K"}`
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		path    string
		want    bool
	}{
		"ours": {note, 0o600, "/bots/t.json", true}, "readable": {note, 0o644, "/bots/t.json", false},
		"another file's": {note, 0o600, "/bots/u.json", false}, "damaged": {note[:20], 0o600, "/bots/t.json", false},
	} {
		path := filepath.Join(t.TempDir(), "note.json")
		write(t, path, tt.content, tt.mode)
		if got := sharedfile.LastWhole(path, tt.path) != nil; got != tt.want {
			t.Errorf("%s: taken: %t", name, got)
		}
	}
}

// A token that changes changes no note.
func TestNoteIsWrittenOnlyWhenItChanges(t *testing.T) {
	cfg := sharedfile.Config{Path: filepath.Join(t.TempDir(), "token.json"), Note: sharedfile.NotePath(t.TempDir(), "main")}
	write(t, cfg.Path, `{"app_key": "key"}`, 0o600)
	f, _ := newFile(t, cfg)
	if err := f.Write(document("a1", "r1")); err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(cfg.Note)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(document("a2", "r2")); err != nil {
		t.Fatal(err)
	}
	if second, err := os.Stat(cfg.Note); err != nil || !os.SameFile(first, second) {
		t.Errorf("it was written again: %v", err)
	}
}
