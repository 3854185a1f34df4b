package atomicfile

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// aclName is where Linux keeps a file's access control list (acl(5)). With
// one, the group bits of the mode are only its mask: without it, the owning
// group would have what was meant for a single user.
const aclName = "system.posix_acl_access"

// getACL returns the list of the file at path, nil if it has none.
func getACL(path string) ([]byte, error) {
	buf := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Lgetxattr(path, aclName, buf)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return buf[:n], nil
}

// setACL sets the mode too, of which the list is a part.
func setACL(f files.File, acl []byte) error {
	return unix.Fsetxattr(int(f.Fd()), aclName, acl, 0)
}
