package config

import (
	"os"
	"path/filepath"
	"testing"
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
