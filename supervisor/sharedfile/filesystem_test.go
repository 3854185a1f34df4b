package sharedfile

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExclusive(t *testing.T) {
	dir := t.TempDir()
	_, kind, err := fileSystem(dir)
	if err != nil {
		t.Fatal(err)
	}
	if name, unsafe := unsafeNames()[kind]; unsafe {
		t.Skipf("the folder for temporary files is on %s", name)
	}
	if err := Exclusive(filepath.Join(dir, "no", "such", "folder", "token")); err != nil {
		t.Errorf("a local file that is not there yet: %v", err)
	}
	at, _, err := fileSystem(filepath.Join(dir, "no", "token"))
	if err != nil || at != dir {
		t.Errorf("looked at %s, %v; want %s", at, err, dir)
	}
}

func TestUnsafeFileSystems(t *testing.T) {
	for kind, name := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB",
		unix.V9FS_MAGIC: "9p", unix.FUSE_SUPER_MAGIC: "FUSE",
	} {
		err := verdict("/mnt/x", uint32(kind))
		if err == nil || !strings.Contains(err.Error(), "/mnt/x is on "+name) || !strings.Contains(err.Error(), "unsafe_filesystem: true") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if err := verdict("/", uint32(kind)); err != nil {
			t.Error(err)
		}
	}
}
