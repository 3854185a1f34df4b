package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // one that is there stays as it is
		if err := files.MakeDir(files.OS{}, dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
			t.Fatalf("%v, %v", info, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "d")} {
		if err := files.MakeDir(files.OS{}, path, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDatasync(t *testing.T) {
	f, err := files.OS{}.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Datasync(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f.Datasync() == nil {
		t.Error("a closed file was synced")
	}
}

// The descriptor of a file that is closed may be another file's by now.
func TestClosedFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(files.Reserve(f, 4096), files.Datasync(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := files.Datasync(f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Datasync: %v", err)
	}
	if err := files.Reserve(f, 4096); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reserve: %v", err)
	}
}
