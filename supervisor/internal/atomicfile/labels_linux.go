package atomicfile

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// label is an extended attribute (xattr(7)) that goes from a file to the one
// that replaces it.
type label struct{ name, value string }

// most that is read of labels, in bytes: as much as Linux lets a file have in a
// list or a value (XATTR_SIZE_MAX).
const most = 64 << 10

// isLabel says whether an attribute is the file's, and not its content's or the
// kernel's: who may touch it by SELinux or Smack, and what people and programs
// have noted with it.
func isLabel(name string) bool {
	return name == "security.selinux" || name == "security.SMACK64" || strings.HasPrefix(name, "user.")
}

// getLabels returns the labels of the file at path as far as they can be read.
func getLabels(sys files.System, path string) (all []label) {
	list, get := unix.Llistxattr, unix.Lgetxattr
	if own, ok := sys.(attributed); ok {
		list, get = own.Llistxattr, own.Lgetxattr
	}
	buf := make([]byte, most)
	n, err := list(path, buf)
	if err != nil {
		return nil
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if !isLabel(name) {
			continue
		}
		if n, err := get(path, name, buf); err == nil {
			all = append(all, label{name, string(buf[:n])})
		}
	}
	slices.SortFunc(all, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return all
}

// setLabels sets those that the kernel and the file system take. A token is
// worth more than a label: one that can't be given is no failure.
func setLabels(f files.File, all []label) {
	for _, l := range all {
		_ = unix.Fsetxattr(int(f.Fd()), l.name, []byte(l.value), 0)
	}
}
