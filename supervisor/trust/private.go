package trust

import (
	"fmt"
	"os"
	"syscall"

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
			w.asOwner(f))
	case f.isOpen():
		return Grounds{}, w.refuse(f, "is open to others, and it holds refresh tokens", "chmod 700 "+quote(f.path))
	}
	return w.found, nil
}

// IsOwners says whether a folder is for its owner alone, whoever that is, as Private
// finds it for him.
func (j Judge) IsOwners(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok {
		j.self = int(st.Uid)
		_, err = j.Private(dir)
	}
	return ok && err == nil
}

// isOpen says whether others than the owner have any right. With a list, the
// bits of the group are its mask.
func (f facts) isOpen() bool { return f.mode&0o077 != 0 }

// isPrivate says whether it is a folder that is for our own user alone.
func (w *way) isPrivate(f facts) bool {
	return f.is(unix.S_IFDIR) && f.uid == w.judge.self && !f.isOpen()
}

// asOwner is what to do about a folder of another user. Root could use it, but
// what he makes in it would be his, and lock its owner out.
func (w *way) asOwner(f facts) string {
	user := w.judge.users.key(f.uid)
	if w.judge.self != 0 {
		return "run this as " + w.judge.users.user(f.uid) + ", or set another state_dir"
	}
	sudo := user
	if w.judge.users.isMadeUp(f.uid) {
		return "what root makes in it would lock that user out, whom systemd makes up while the service runs (DynamicUser): " +
			"start the service first; check and import can also be given --unit and the service's name"
	}
	if w.judge.users.listed().names[f.uid] == "" {
		sudo = "'#" + user + "'" // sudo(8)
	}
	return "what root makes in it would lock that user out: run this as \"sudo -u " + sudo + " tokenkeeper …\", a service with User=" + user +
		"; or, if root shall keep it from now on, chown -R root " + quote(f.path)
}
