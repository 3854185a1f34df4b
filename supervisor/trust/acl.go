package trust

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// grant is a right to write that an access control list gives beyond the mode
// (acl(5)).
type grant struct {
	id    int
	group bool
}

// The tags of the kernel's posix_acl_xattr_entry.
const (
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10

	aclVersion = 2
	aclWrite   = 2
)

// entry is one of a list: which rights whoever its tag and id name has by it,
// within the mask.
type entry struct {
	tag, perm uint16
	id        int
}

// entriesIn reads a list as the kernel writes it.
func entriesIn(list []byte) (all []entry, err error) {
	const header, size = 4, 8
	if len(list) < header || (len(list)-header)%size != 0 || binary.LittleEndian.Uint32(list) != aclVersion {
		return nil, errors.New("its access control list has an unknown form")
	}
	mask := uint16(0o7)
	for rest := list[header:]; len(rest) > 0; rest = rest[size:] {
		e := entry{binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:]), int(binary.LittleEndian.Uint32(rest[4:]))}
		if e.tag == aclMask {
			mask = e.perm
		}
		all = append(all, e)
	}
	for i, e := range all {
		if e.tag == aclUser || e.tag == aclGroup || e.tag == aclGroupObj {
			all[i].perm &= mask
		}
	}
	return all, nil
}

// writersIn says to whom a list gives a right to write. groupWrites says whether
// the owning group may write, whose bits in the mode are those of the mask.
func writersIn(list []byte) (writers []grant, groupWrites bool, err error) {
	all, err := entriesIn(list)
	if err != nil {
		return nil, false, err
	}
	for _, e := range all {
		if e.perm&aclWrite == 0 {
			continue
		}
		switch e.tag {
		case aclUser:
			writers = append(writers, grant{id: e.id})
		case aclGroup:
			writers = append(writers, grant{id: e.id, group: true})
		case aclGroupObj:
			groupWrites = true
		}
	}
	return writers, groupWrites, nil
}

// listOf returns the access control list of what is open; nil: it has none.
func listOf(fd int) ([]byte, error) {
	// A descriptor that only names a file takes no fgetxattr.
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	const name = "system.posix_acl_access"
	size, err := unix.Getxattr(path, name, nil)
	if err == nil {
		list := make([]byte, size)
		if size, err = unix.Getxattr(path, name, list); err == nil {
			return list[:size], nil
		}
	}
	for _, none := range []error{unix.ENODATA, unix.EOPNOTSUPP, unix.ENOSYS, unix.ENOENT} {
		// ENOENT: there is no /proc here.
		if errors.Is(err, none) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("its access control list can't be read: %w", err)
}
