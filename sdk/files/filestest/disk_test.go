package filestest_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// The tests that stand on the model are worth what it knows: what is not
// synced is lost, in each of its parts, and what is synced is not.
func TestModel(t *testing.T) {
	open := func(t *testing.T, d *filestest.Disk, path string) files.File {
		t.Helper()
		f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	write := func(t *testing.T, f files.File, content string) {
		t.Helper()
		if _, err := f.WriteAt([]byte(content), 0); err != nil {
			t.Fatal(err)
		}
	}
	none, all := filestest.Survival{Names: filestest.None, Data: filestest.None}, filestest.Killed()
	names := filestest.Survival{Names: filestest.All, Data: filestest.None}
	const missing = "(missing)"
	for name, tt := range map[string]struct {
		do   func(t *testing.T, d *filestest.Disk, dir string) error
		want map[filestest.Survival]string // content of the file "a", which was "old"
	}{
		"a write": {func(t *testing.T, d *filestest.Disk, dir string) error {
			write(t, open(t, d, dir+"/a"), "new")
			return nil
		}, map[filestest.Survival]string{none: "old", all: "new"}},
		"a synced write": {func(t *testing.T, d *filestest.Disk, dir string) error {
			f := open(t, d, dir+"/a")
			write(t, f, "new")
			return f.Datasync()
		}, map[filestest.Survival]string{none: "new", all: "new"}},
		"a sync that fails": {func(t *testing.T, d *filestest.Disk, dir string) error {
			f := open(t, d, dir+"/a")
			write(t, f, "new")
			d.Fail(3, syscall.EIO, false)
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				t.Errorf("the sync did not fail: %v", err)
			}
			return f.Sync() // succeeds, and what the first one lost stays lost
		}, map[filestest.Survival]string{none: "old", all: "old"}},
		"a write that fails": {func(t *testing.T, d *filestest.Disk, dir string) error {
			d.Fail(2, syscall.ENOSPC, false)
			if _, err := open(t, d, dir+"/a").WriteAt([]byte("newnew"), 0); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the write did not fail: %v", err)
			}
			return nil
		}, map[filestest.Survival]string{none: "old", all: "new"}},
		"a rename of what is not synced": {func(t *testing.T, d *filestest.Disk, dir string) error {
			write(t, open(t, d, dir+"/b"), "new")
			return d.Rename(dir+"/b", dir+"/a")
		}, map[filestest.Survival]string{none: "old", names: "", all: "new"}},
		"a synced rename": {func(t *testing.T, d *filestest.Disk, dir string) error {
			f := open(t, d, dir+"/b")
			write(t, f, "new")
			return errors.Join(f.Sync(), d.Rename(dir+"/b", dir+"/a"), d.SyncDir(dir))
		}, map[filestest.Survival]string{none: "new", all: "new"}},
		"a removal": {func(t *testing.T, d *filestest.Disk, dir string) error {
			return d.Remove(dir + "/a")
		}, map[filestest.Survival]string{none: "old", all: missing}},
		"half of the names": {func(t *testing.T, d *filestest.Disk, dir string) error {
			open(t, d, dir+"/b")
			return d.Rename(dir+"/b", dir+"/a")
		}, map[filestest.Survival]string{{Names: filestest.FirstHalf, Data: filestest.All}: "old", names: ""}},
		"the power goes off": {func(t *testing.T, d *filestest.Disk, dir string) error {
			f := open(t, d, dir+"/a")
			d.Crash(2)
			if _, err := f.WriteAt([]byte("new"), 0); !errors.Is(err, filestest.ErrDown) {
				t.Errorf("a write after that: %v", err)
			}
			if err := d.Remove(dir + "/a"); !errors.Is(err, filestest.ErrDown) {
				t.Errorf("a removal after that: %v", err)
			}
			return nil
		}, map[filestest.Survival]string{all: "old"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := filestest.New(t, dir)
			if err := tt.do(t, d, dir); err != nil {
				t.Fatal(err)
			}
			for s, want := range tt.want {
				d.Image(t, s, func(dir string) {
					b, err := os.ReadFile(filepath.Join(dir, "a"))
					got := string(b)
					if errors.Is(err, os.ErrNotExist) {
						got = missing
					}
					if got != want {
						t.Errorf("%+v leaves %q, want %q", s, got, want)
					}
				})
			}
		})
	}
}

// Of a long write any part may survive.
func TestPartsOfAWrite(t *testing.T) {
	dir := t.TempDir()
	d := filestest.New(t, dir)
	f, err := d.OpenFile(dir+"/a", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := make([]byte, 4*512)
	for i := range long {
		long[i] = byte('1' + i/512)
	}
	if _, err := f.WriteAt(long, 0); err != nil {
		t.Fatal(err)
	}
	for part, want := range map[filestest.Part]string{
		filestest.None: "", filestest.FirstHalf: "12", filestest.LastHalf: "\x00\x0034", filestest.EveryOther: "\x002\x004", filestest.All: "1234",
	} {
		d.Image(t, filestest.Survival{Names: filestest.All, Data: part}, func(dir string) {
			b, err := os.ReadFile(dir + "/a")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for i := 0; i < len(b); i += 512 {
				got += string(b[i])
			}
			if got != want {
				t.Errorf("%s: %q, want %q", part, got, want)
			}
		})
	}
}
