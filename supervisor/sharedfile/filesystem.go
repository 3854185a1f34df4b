package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Exclusive says whether flock on the file at path keeps all programs apart
// that can open it. It returns an error, which says what to do, on a file
// system that other machines may use at the same time or whose locks its own
// server or program decides about. path need not exist.
func Exclusive(path string) error {
	dir, kind, err := fileSystem(path)
	if err != nil {
		return fmt.Errorf("the file system of %s can't be told: %w", path, err)
	}
	return verdict(dir, kind)
}

func verdict(dir string, kind uint32) error {
	name, unsafe := unsafeNames()[kind]
	if !unsafe {
		return nil
	}
	return fmt.Errorf("%s is on %s, where the lock may not keep two programs from refreshing at once: "+
		"move the file to a local disk, or set unsafe_filesystem: true if you know that flock excludes there", dir, name)
}

// fileSystem returns the kind of the file system at path, as statfs(2) names
// it, or of the nearest directory above that exists.
func fileSystem(path string) (at string, kind uint32, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", 0, err
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return path, uint32(st.Type), nil
		}
		up := filepath.Dir(path)
		if up == path || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return path, 0, os.NewSyscallError("statfs", err)
		}
		path = up
	}
}

// unsafeNames are the file systems on which flock may not exclude. The numbers
// are those of linux/magic.h, statfs(2), and the file systems' own sources.
func unsafeNames() map[uint32]string {
	return map[uint32]string{
		unix.NFS_SUPER_MAGIC:   "NFS",
		unix.CIFS_SUPER_MAGIC:  "CIFS (a Windows share)",
		unix.SMB_SUPER_MAGIC:   "SMB (a Windows share)",
		unix.SMB2_SUPER_MAGIC:  "SMB (a Windows share)",
		unix.V9FS_MAGIC:        "9p (a folder of a virtual machine's host)",
		unix.FUSE_SUPER_MAGIC:  "FUSE (sshfs, virtiofs and the like)",
		unix.AFS_SUPER_MAGIC:   "AFS",
		unix.AFS_FS_MAGIC:      "AFS",
		unix.CODA_SUPER_MAGIC:  "Coda",
		unix.NCP_SUPER_MAGIC:   "NetWare",
		unix.OCFS2_SUPER_MAGIC: "OCFS2",
		0x0BD00BD0:             "Lustre",
		0x786F4256:             "a shared folder of VirtualBox",
		0xBACBACBC:             "a shared folder of VMware",
		0x47504653:             "GPFS",
	}
}
