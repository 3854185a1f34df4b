package sharedfile_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

func TestWriteAndRead(t *testing.T) {
	for _, name := range format.Names() {
		f, cfg := newFile(t, sharedfile.Config{Format: name})
		want := document("access", "refresh")
		if err := f.Write(want); err != nil {
			t.Fatal(err)
		}
		got, err := f.Read()
		if err != nil || !got.AccessToken.Equal(want.AccessToken) || !got.RefreshToken.Equal(want.RefreshToken) || !got.Expiry.Equal(want.Expiry) {
			t.Errorf("%s: read %+v, %v", name, got, err)
		}
		if info, err := os.Stat(cfg.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: a new file has mode %v, %v", name, info.Mode(), err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(cfg.Path)); len(entries) != 1 {
			t.Errorf("%s: beside the file there is more: %v", name, entries)
		}
	}
}

func TestWriteKeepsWhatIsNotOurs(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	const existing = `{"app_key": "k", "app_secret": "s", "refresh_token": "old", "bot": {"id": 7}}`
	write(t, cfg.Path, existing, 0o664)
	if os.Getuid() == 0 {
		if err := os.Chown(cfg.Path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	// The bots' own temporary file is none of our business.
	write(t, strings.TrimSuffix(cfg.Path, ".json")+".tmp", "theirs", 0o600)
	if err := f.Write(document("access", "refresh")); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if is.Uid != was.Uid || is.Gid != was.Gid || after.Mode() != before.Mode() {
		t.Errorf("owner %d:%d, mode %v; before %d:%d, %v", is.Uid, is.Gid, after.Mode(), was.Uid, was.Gid, before.Mode())
	}
	if is.Ino == was.Ino {
		t.Error("the file was written in place: a reader could see a part")
	}
	raw, _ := os.ReadFile(cfg.Path)
	var got struct {
		AppKey string `json:"app_key"`
		Bot    struct{ ID int }
	}
	if err := json.Unmarshal(raw, &got); err != nil || got.AppKey != "k" || got.Bot.ID != 7 {
		t.Errorf("the file is now %s, %v", raw, err)
	}
	if d, err := f.Read(); err != nil || d.ClientID != "k" || d.ClientSecret.Reveal() != "s" {
		t.Errorf("the client is %q, %v", d.ClientID, err)
	}
	if b, _ := os.ReadFile(strings.TrimSuffix(cfg.Path, ".json") + ".tmp"); string(b) != "theirs" {
		t.Errorf("the bots' temporary file is now %q", b)
	}
}

func TestNothing(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{Format: format.Schwab})
	look := func(want bool) {
		t.Helper()
		if d, err := f.Read(); err == nil || sharedfile.Nothing(err) != want || !strings.Contains(err.Error(), cfg.Path) {
			t.Errorf("read %+v, %v; Nothing should be %v", d, err, want)
		}
	}
	look(true)
	if err := f.Write(document("access", "refresh")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		write(t, cfg.Path, string(whole[:n]), 0o600)
		look(true)
	}
	for _, s := range []string{"null", "{}", `{"token": {}}`, "\x00\x00", strings.Repeat(" ", 1<<20) + "{}"} {
		write(t, cfg.Path, s, 0o600)
		look(true)
		if err := f.Write(document("access", "refresh")); err != nil {
			t.Errorf("over %.20q: %v", s, err)
		}
		if _, err := f.Read(); err != nil {
			t.Errorf("over %.20q: %v", s, err)
		}
	}
	if err := errors.Join(os.Remove(cfg.Path), syscall.Mkfifo(cfg.Path, 0o600)); err != nil {
		t.Fatal(err)
	}
	look(false) // and at once, though nobody writes into the pipe
}

func TestWriteRefuses(t *testing.T) {
	f, cfg := newFile(t, sharedfile.Config{})
	write(t, cfg.Path, `{"refresh_token": "old"}`, 0o600)
	d := document("access", "refresh")
	d.RefreshToken = d.IDToken
	if err := f.Write(d); err == nil || !strings.Contains(err.Error(), "no refresh token") {
		t.Errorf("without a refresh token: %v", err)
	}
	if b, _ := os.ReadFile(cfg.Path); string(b) != `{"refresh_token": "old"}` {
		t.Errorf("the file is now %s", b)
	}
	if err := errors.Join(os.Remove(cfg.Path), os.Mkdir(cfg.Path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(document("access", "refresh")); err == nil {
		t.Error("a folder was overwritten")
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "token.json"), filepath.Join(dir, "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cfg  sharedfile.Config
		want string
	}{
		"no path":        {sharedfile.Config{Format: format.JSON}, "needs a path"},
		"its own lock":   {sharedfile.Config{Path: path, Lock: dir + "/./token.json", Format: format.JSON}, "its own lock"},
		"a link":         {sharedfile.Config{Path: link, Format: format.JSON}, "symbolic link"},
		"unknown format": {sharedfile.Config{Path: path, Format: "xml"}, "unknown format"},
	} {
		if _, err := sharedfile.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("New touched the lock: %v", err)
	}
}

// Whatever a program has left in the file, reading it says that a token is
// there or that nothing is, and our token can be written and read back.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"", "{", "null", "[]", "\x00\x00", `{"access_token": "a", "refresh_token": "r", "token_expiry": "2026-10-25T02:30:00.123456"}`,
		`{"refresh_token": 7, "token_expiry": false, "theirs": [1, {"a": null}]}`, `{"token": {"refresh_token": "r", "expires_at": "1e9"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := filestest.Scratch(t)
		defer func() { _ = os.RemoveAll(dir) }()
		for _, name := range format.Names() {
			path := filepath.Join(dir, name)
			file, err := sharedfile.New(sharedfile.Config{Path: path, Format: name, Location: time.UTC, AllowUnsafe: true})
			if err != nil {
				t.Fatal(err)
			}
			file.On(filestest.New(t, dir)) // spares the syncs
			write(t, path, string(content), 0o600)
			switch d, err := file.Read(); {
			case err != nil && !sharedfile.Nothing(err):
				t.Errorf("%s: %v", name, err)
			case err == nil && d.RefreshToken.IsZero() && d.AccessToken.IsZero():
				t.Errorf("%s: a token that is none", name)
			}
			if err := file.Write(document("access", "refresh")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if d, err := file.Read(); err != nil || d.RefreshToken.Reveal() != "refresh" || d.AccessToken.Reveal() != "access" {
				t.Fatalf("%s: read back %q, %v", name, d.RefreshToken.Reveal(), err)
			}
		}
	})
}
