package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Unchanged leaves a user or group as it is (chown(2)).
const Unchanged = -1

// Attributes are what a file has beside its content.
type Attributes struct {
	// Mode holds permissions; 0: those of the file which is there, 0600 for a
	// new one.
	Mode fs.FileMode
	// UID and GID are the owner, or Unchanged: that of the file which is
	// there, or whoever writes a new one.
	UID, GID int
	// NeverLoosen: a file that is there keeps a mode that gives less than Mode.
	NeverLoosen bool
	// ACL is an access control list as the kernel writes it, of which Mode is a
	// part; "": none but the one that is kept with the mode of the file which
	// is there.
	ACL string
}

// AttributesOf returns what the file at path has.
func AttributesOf(sys files.System, path string) (Attributes, error) {
	if _, err := sys.Lstat(path); err != nil {
		return Attributes{}, err
	}
	a, acl, err := AsTheyAre().over(sys, path)
	a.ACL = string(acl)
	return a, err
}

// AsTheyAre keeps everything that the file has.
func AsTheyAre() Attributes { return Attributes{UID: Unchanged, GID: Unchanged} }

// over fills in what a leaves open from the file at path: programs rely on it.
// The access control list is kept if the mode is, which is a part of it.
func (a Attributes) over(sys files.System, path string) (want Attributes, acl []byte, err error) {
	info, err := sys.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if a.Mode == 0 {
			a.Mode = 0o600
		}
		return a, a.list(), nil
	case err != nil:
		return a, nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return a, nil, errors.New("it is a symbolic link: set the path of the file that it names")
	case !info.Mode().IsRegular():
		return a, nil, errors.New("it is " + files.Kind(info.Mode()) + ": move it away or set another path")
	}
	if a.Mode == 0 || a.NeverLoosen {
		if acl, err = getACL(sys, path); err != nil {
			return a, nil, fmt.Errorf("its access control list can't be read: %w", err)
		}
		perm := info.Mode().Perm()
		switch {
		case a.Mode == 0 || a.Mode&perm == perm:
			a.Mode = perm
		case acl != nil: // the group's bits are those of the list's mask
			a.Mode, acl = a.Mode&perm&^0o070, nil
		default:
			a.Mode &= perm
		}
	} else {
		acl = a.list()
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if a.UID == Unchanged {
			a.UID = int(st.Uid)
		}
		if a.GID == Unchanged {
			a.GID = int(st.Gid)
		}
	}
	return a, acl, nil
}

func (a Attributes) list() []byte {
	if a.ACL == "" {
		return nil
	}
	return []byte(a.ACL)
}

// chown gives the file to its owner, if it has another.
func chown(f files.File, want Attributes) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid := want.UID, want.GID
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if uid == int(st.Uid) {
			uid = Unchanged
		}
		if gid == int(st.Gid) {
			gid = Unchanged
		}
	}
	if uid == Unchanged && gid == Unchanged {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil {
		// Not wrapped: it is not the directory that refuses.
		return fmt.Errorf("it can't be given to its owner (uid %d, gid %d; -1: no change): only root may do so; run Tokenkeeper as that user, or hand the file over to Tokenkeeper's user and set mode and group", uid, gid)
	}
	return nil
}
