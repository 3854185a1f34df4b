// Package mountstest has a file system that does not answer, for tests.
package mountstest

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Silent mounts a file system in a folder of its own, at which every look hangs until
// the test ends, as at a network drive whose server is gone: it is one of FUSE whose
// server never says a word.
func Silent(t testing.TB) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("a file system that does not answer can't be made, which needs root: %v", err)
	}
	err = unix.Mount("silent", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server))
	if err != nil {
		_ = unix.Close(server)
		t.Skipf("a file system that does not answer can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Close(server); err != nil { // every look that hangs fails
			t.Error(err)
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
