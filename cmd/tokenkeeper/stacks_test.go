package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Of a row of crashes the first and the newest three are kept; after a quiet day the
// next one begins a row of its own.
func TestStacksOfACrashLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stacks")
	crash := func(text string, at time.Time) (first string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		newest, first, err := setStacksAside(path, info)
		if err != nil || newest != path+".before" || first != path+".first" {
			t.Errorf("%s: newest %s, first %s, %v", text, newest, first, err)
		}
		return first
	}
	kept := func(want map[string]string) {
		t.Helper()
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != len(want) {
			t.Errorf("kept: %v, %v", entries, err)
		}
		for name, text := range want {
			if got := string(readFile(t, path+name)); got != text {
				t.Errorf("%s holds %q, want %q", name, got, text)
			}
		}
	}
	crash("1", now)
	kept(map[string]string{".before": "1", ".first": "1"})
	for n, text := range []string{"2", "3", "4", "5"} {
		crash(text, now.Add(time.Duration(n+1)*20*time.Hour))
	}
	kept(map[string]string{".before": "5", ".before.2": "4", ".before.3": "3", ".first": "1"})
	crash("6", now.Add(200*time.Hour))
	kept(map[string]string{".before": "6", ".before.2": "5", ".before.3": "4", ".first": "6"})
}
