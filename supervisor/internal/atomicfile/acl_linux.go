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

// attributed is a [files.System] that has an own way to extended attributes:
// lgetxattr(2) and llistxattr(2).
type attributed interface {
	Lgetxattr(path, attr string, dest []byte) (int, error)
	Llistxattr(path string, dest []byte) (int, error)
}

// getACL returns the list of the file at path, nil if it has none.
func getACL(sys files.System, path string) ([]byte, error) {
	get := unix.Lgetxattr
	if own, ok := sys.(attributed); ok {
		get = own.Lgetxattr
	}
	n, err := get(path, aclName, nil)
	if err == nil {
		buf := make([]byte, n)
		n, err = get(path, aclName, buf)
		if err == nil {
			return buf[:n], nil
		}
	}
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil, nil
	}
	return nil, err
}

// setACL sets the mode too, of which the list is a part.
func setACL(f files.File, acl []byte) error {
	return unix.Fsetxattr(int(f.Fd()), aclName, acl, 0)
}
