package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestChanged(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const text = "accounts: {main: {provider: schwab, client_id: id, client_secret: s, redirect_url: \"https://127.0.0.1:8182\"}}\n"
	file := filepath.Join(dir, "tk.yaml")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(text)
	for _, path := range []string{file, "tk.yaml"} {
		cfg, _, err := Load(Source{Path: path, KnownProviders: func(string) []string { return []string{"schwab"} }})
		if err != nil {
			t.Fatal(err)
		}
		if t.Chdir("/"); cfg.Changed() {
			t.Errorf("%s: changed, and nobody has touched it", path)
		}
		put(text + "# a remark\n")
		if !cfg.Changed() {
			t.Errorf("%s: not changed, after it was", path)
		}
		if put(text); cfg.Changed() {
			t.Errorf("%s: changed, after it was put back", path)
		}
		if err := os.Remove(file); err != nil || !cfg.Changed() {
			t.Errorf("%s: not changed, after it was removed (%v)", path, err)
		}
		put(text)
		t.Chdir(dir)
	}
	if cfg, _, err := Load(Source{Bytes: []byte(text), Name: "tk.yaml", Dir: dir}); err != nil || cfg.Changed() {
		t.Errorf("one that came from no file: %v", err)
	}
}

// A secret that was written anew is a change, whenever that was; what the account's own
// shared file holds changes all the time.
func TestChangedReference(t *testing.T) {
	dir := t.TempDir()
	file, secret, shared := filepath.Join(dir, "tk.yaml"), filepath.Join(dir, "secret"), filepath.Join(dir, "shared.json")
	was, later := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC), time.Date(2026, 9, 1, 14, 2, 0, 0, time.UTC)
	put := func(path, text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	put(secret, "one", was)
	put(shared, `{"app_secret": "s"}`, was)
	const text = `accounts:
  a: {provider: schwab, client_id: id, client_secret: "${file:secret}"}
  b: {provider: schwab, client_id: id, client_secret: "${file:shared.json#app_secret}", shared_file: {path: shared.json, format: json}}
`
	put(file, text, was)
	cfg, _, err := Load(Source{Path: file, Environ: func() []string { return []string{"HOME=/root"} }})
	if err != nil {
		t.Fatal(err)
	}
	put(shared, `{"app_secret": "s", "token": "t"}`, later)
	if at := cfg.ChangedAt(); cfg.Changed() || !at.IsZero() {
		t.Errorf("changed at %s, and only the shared file was written", at)
	}
	put(secret, "two", later)
	if at := cfg.ChangedAt(); !cfg.Changed() || !at.Equal(later) {
		t.Errorf("changed %t, at %s", cfg.Changed(), at)
	}
	put(secret, "one", was)
	put(file, text+"# a remark\n", later)
	if at := cfg.ChangedAt(); !cfg.Changed() || !at.Equal(later) {
		t.Errorf("changed %t, at %s", cfg.Changed(), at)
	}
	put(file, text, was)
	if err := os.Remove(secret); err != nil || !cfg.Changed() {
		t.Errorf("not changed, after the secret was removed (%v)", err)
	}
}

// What can't be looked at is neither changed nor unchanged.
func TestUnchanged(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "tk.yaml"), filepath.Join(dir, "secret")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "accounts: {a: {provider: schwab, client_id: id, client_secret: \"${file:secret}\"}}\n"
	put(secret, "one")
	put(file, text)
	cfg, _, err := Load(Source{Path: file, Environ: func() []string { return []string{"HOME=/root"} }})
	if err != nil {
		t.Fatal(err)
	}
	want := func(when string, changed, unchanged bool) {
		t.Helper()
		if cfg.Changed() != changed || cfg.Unchanged() != unchanged {
			t.Errorf("%s: changed %t, unchanged %t", when, cfg.Changed(), cfg.Unchanged())
		}
	}
	want("at first", false, true)
	put(file, text+"# a remark\n")
	want("with a remark", true, false)
	for _, path := range []string{file, secret} {
		put(file, text)
		if err := errors.Join(os.Rename(path, path+"-away"), os.Symlink(path, path)); err != nil { // which leads nowhere, even for root
			t.Fatal(err)
		}
		want("when "+path+" can't be looked at", false, false)
		if err := errors.Join(os.Remove(path), os.Rename(path+"-away", path)); err != nil {
			t.Fatal(err)
		}
		want("when "+path+" is back", false, true)
	}
}

// Whoever replaces files may have taken away what he is about to put there: that is no
// news. A file to which another one refers may come later than that.
func TestRewritten(t *testing.T) {
	const one, two = `accounts: {a: {provider: schwab, client_id: id, client_secret: "${file:secret}"}}
`, `accounts: {a: {provider: schwab, client_id: id, client_secret: "${file:later}"}}
`
	for name, tt := range map[string]struct {
		file, secret string // what is written; "": it is taken away
		want         bool
	}{
		"nothing":                          {one, "s", false},
		"the file":                         {two, "s", true},
		"the secret":                       {one, "longer", true},
		"the file, and the secret is gone": {two, "", true},
		"the file is gone":                 {"", "s", false},
		"the secret is gone":               {one, "", false},
		"the file is gone, and the secret is another": {"", "longer", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, secret := filepath.Join(dir, "tk.yaml"), filepath.Join(dir, "secret")
			put := func(path, text string) {
				t.Helper()
				err := os.Remove(path)
				if text != "" {
					err = os.WriteFile(path, []byte(text), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			put(secret, "s")
			put(file, one)
			src := Source{Path: file, Environ: func() []string { return []string{"HOME=/root"} }}
			cfg, _, err := Load(src)
			if err != nil {
				t.Fatal(err)
			}
			if files := cfg.Files(); len(files) != 2 || !slices.Contains(files, file) || !slices.Contains(files, secret) {
				t.Errorf("it came from %q", files)
			}
			before := ImprintOf(cfg.Files())
			if tt.file != one {
				put(file, tt.file)
			}
			if tt.secret != "s" {
				put(secret, tt.secret)
			}
			if cfg.Rewritten() != tt.want {
				t.Errorf("rewritten: %t", cfg.Rewritten())
			}
			after := ImprintOf(cfg.Files())
			if same := after == before; same != (name == "nothing") {
				t.Errorf("the imprint is the same: %t", same)
			}
			if err := os.Chmod(dir, 0o750); err != nil { // a file may be refused for where it lies
				t.Fatal(err)
			}
			if ImprintOf(cfg.Files()) == after {
				t.Error("the imprint is the same in a folder of another mode")
			}
			want := map[string][]string{one: {secret}, two: {filepath.Join(dir, "later")}}[tt.file]
			if files := Referred(src); !slices.Equal(files, want) {
				t.Errorf("it refers to %q, want %q", files, want)
			}
		})
	}
}
