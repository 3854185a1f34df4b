package trust

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Reach names what lies at an absolute path by a descriptor, without opening it
// (O_PATH in open(2)): who then goes through the descriptor gets what was found
// here, whatever becomes of the path meanwhile. A link is followed that is one of
// root, our own user, allow, or the owner of its folder if nobody else can write
// there. Another would let its maker choose where this leads, and is refused with a
// [*Refusal]. Folders are not judged. The error wraps [io/fs.ErrNotExist] if
// something is missing.
func (j Judge) Reach(path string, allow []int) (*os.File, error) {
	w := &way{judge: j, leads: true, rule: Rule{Users: allow}}
	end, err := w.walk(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(end.fd), end.facts.path), nil
}

// led takes one more entry of a way of which links alone are judged.
func (w *way) led(f facts, innermost bool) error {
	if f.is(unix.S_IFLNK) {
		owns := w.found.Owner != nil && w.found.Owner.UID == f.uid
		if owns && !w.found.Shared && !w.doubtful {
			return nil
		}
		return w.enter(f, innermost)
	}
	err := w.enter(f, innermost)
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		w.doubtful = true // nobody vouches for what lies below
		return nil
	}
	return err
}
