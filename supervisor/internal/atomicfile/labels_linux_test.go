package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// attribute is what the file at path has of that name.
func attribute(path, name string) string {
	b := make([]byte, 1024)
	n, err := unix.Getxattr(path, name, b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// The labels go along, also if the file's mode lets nobody write; what is of
// the old content alone does not. A label that changes after the proof is
// followed.
func TestLabelsAreKept(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "token"), "old")
	all := map[string]string{"user.note": "of the bots' owner", "user.empty": ""}
	for name, value := range all {
		if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
			t.Skipf("no extended attributes on this file system: %v", err)
		}
	}
	// These need root and a kernel that does not ask who defines them.
	for name, value := range map[string]string{"security.selinux": "system_u:object_r:etc_t:s0", "security.SMACK64": "bots"} {
		if unix.Setxattr(path, name, []byte(value), 0) == nil {
			all[name] = value
		}
	}
	const ofContent = "trusted.checksum"
	_ = unix.Setxattr(path, ofContent, []byte("1234"), 0)
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	p, err := atomicfile.Prepare(files.OS{}, path, 100, atomicfile.AsTheyAre())
	if err != nil {
		t.Fatal(err)
	}
	all["user.note"] = "changed"
	if err := errors.Join(os.Chmod(path, 0o640), unix.Setxattr(path, "user.note", []byte("changed"), 0), os.Chmod(path, 0o440)); err != nil {
		t.Fatal(err)
	}
	for _, write := range []func() error{
		func() error { return p.Put(t.Context(), []byte("new")) },
		func() error {
			return atomicfile.Replace(t.Context(), files.OS{}, path, []byte("newer"), atomicfile.AsTheyAre())
		},
	} {
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Stat(path); err != nil || os.SameFile(before, after) || after.Mode().Perm() != 0o440 {
			t.Errorf("it was not replaced, or has another mode: %v, %v", after, err)
		}
		for name, want := range all {
			if got := attribute(path, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got := attribute(path, ofContent); got == "1234" {
			t.Errorf("%s was kept", ofContent)
		}
	}
}

// A file system without labels is no obstacle, and nor is one that gives some
// and takes none.
func TestNoLabelsAreNoObstacle(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("ramfs", dir, "ramfs", 0, ""); err != nil {
		t.Skipf("a file system without labels can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := put(t, filepath.Join(dir, "token"), "old")
	if err := unix.Setxattr(path, "user.note", []byte("x"), 0); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("this file system has labels: %v", err)
	}
	for name, sys := range map[string]files.System{"none": files.OS{}, "given and not taken": giving{}} {
		if err := atomicfile.Replace(t.Context(), sys, path, []byte(name), atomicfile.AsTheyAre()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != name {
			t.Errorf("%s: the file holds %q, %v", name, b, err)
		}
	}
}

// giving is a file system that says its files have a label.
type giving struct{ files.OS }

func (giving) Llistxattr(_ string, dest []byte) (int, error) { return copy(dest, "user.note\x00"), nil }
func (giving) Lgetxattr(_, attr string, dest []byte) (int, error) {
	if attr != "user.note" {
		return 0, unix.ENODATA
	}
	return copy(dest, "x"), nil
}
