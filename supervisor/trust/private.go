package trust

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Private examines a folder that is for nobody but our own user, and what is
// above it by the rule for data. Others may write to the folder right above it:
// what they could put in its place would be theirs, and is refused. The error is
// a [*Refusal], or wraps [io/fs.ErrNotExist] if it is missing.
func (j Judge) Private(dir string) (Grounds, error) {
	w := &way{judge: j, private: true}
	end, err := w.walk(dir)
	if err != nil {
		return Grounds{}, err
	}
	end.close()
	f := end.facts
	switch {
	case !f.is(unix.S_IFDIR):
		return Grounds{}, fmt.Errorf("%s is no directory: move it away or set another path", f.path)
	case f.uid != j.self && !(f.uid == unmapped && j.inNamespace):
		return Grounds{}, w.refuse(f, "belongs to "+j.users.user(f.uid)+", and this is "+j.users.user(j.self),
			"run this as the user who runs the supervisor, or change its owner")
	case f.isOpen():
		return Grounds{}, w.refuse(f, "is open to others, and it holds refresh tokens", "chmod 700 "+quote(f.path))
	}
	return w.found, nil
}

// isOpen says whether others than the owner have any right. With a list, the
// bits of the group are its mask.
func (f facts) isOpen() bool { return f.mode&0o077 != 0 }

// isPrivate says whether it is a folder that is for our own user alone.
func (w *way) isPrivate(f facts) bool {
	return f.is(unix.S_IFDIR) && f.uid == w.judge.self && !f.isOpen()
}
