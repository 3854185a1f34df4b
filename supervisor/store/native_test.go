package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// stateDir names a directory that does not exist yet.
func stateDir(t testing.TB) string { return filepath.Join(t.TempDir(), "state") }

func openStore(t testing.TB, dir string) *store.Journal {
	t.Helper()
	s, err := store.Open(dir, store.Options{Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestOpenMakesItPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "state")
	openStore(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, store.FileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	write := func(t *testing.T, path string, b []byte, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir, file string)
		want    error  // nil: any
		says    string // what the error must tell
	}{
		{"a directory open to others", func(t *testing.T, dir, _ string) {
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o750)); err != nil {
				t.Fatal(err)
			}
		}, nil, "chmod 700"},
		{"a file open to others", func(t *testing.T, _, file string) { write(t, file, nil, 0o640) }, nil, "chmod 600"},
		{"a file in the place of the directory", func(t *testing.T, dir, _ string) { write(t, dir, nil, 0o600) }, nil, "is no directory"},
		{"a directory in the place of the file", func(t *testing.T, _, file string) {
			if err := os.MkdirAll(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a regular file"},
		{"a file of something else", func(t *testing.T, _, file string) {
			write(t, file, bytes.Repeat([]byte("no database "), 2000), 0o600)
		}, store.ErrDamaged, "restore"},
		{"a newer major version", func(t *testing.T, dir, file string) { setFormat(t, dir, file, "4.0") }, store.ErrNewerFormat, "format 4.0"},
		{"an unreadable version", func(t *testing.T, dir, file string) { setFormat(t, dir, file, "one") }, store.ErrDamaged, "version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			file := filepath.Join(dir, store.FileName)
			tt.prepare(t, dir, file)
			before, _ := os.ReadFile(file)
			s, err := store.Open(dir, store.Options{})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %q: want %v, and that it says %q and where", err, tt.want, tt.says)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the file was written to")
			}
		})
	}
}

// A newer minor version is read, and keeps its number.
func TestNewerMinorVersion(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(dir, store.FileName)
	s := openStore(t, dir)
	if err := errors.Join(s.Commit(t.Context(), storetest.First("main")), s.Close()); err != nil {
		t.Fatal(err)
	}
	setFormat(t, dir, file, "3.9")
	s = openStore(t, dir)
	if _, err := s.Load(t.Context(), "main"); err != nil || s.Restored() != nil {
		t.Fatal(err, s.Restored())
	}
	if err := errors.Join(s.Commit(t.Context(), storetest.First("other")), s.Close()); err != nil {
		t.Fatal(err)
	}
	if b := read(t, file); !bytes.HasPrefix(b, []byte("tokenkeeper journal 3.9 ")) {
		t.Errorf("it begins with %q now", b[:32])
	}
}

// The second supervisor is told which process is the first.
func TestInUse(t *testing.T) {
	dir := stateDir(t)
	openStore(t, dir)
	_, err := store.Open(dir, store.Options{Timeout: time.Millisecond})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("error %v, want ErrInUse and the directory", err)
	}
	if _, statErr := os.Stat("/proc/locks"); statErr == nil && !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("error %v does not name process %d", err, os.Getpid())
	}
}
