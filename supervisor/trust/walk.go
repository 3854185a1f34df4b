package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostLinks on one way, as the kernel has it (path_resolution(7)).
const mostLinks = 40

// Folder examines an absolute folder and everything above it, and opens it: what
// is opened is what was examined, whatever becomes of the path meanwhile. The
// error is a [*Refusal] if somebody else could have put it there, and wraps
// [fs.ErrNotExist] if it is missing.
func (j Judge) Folder(dir string, rule Rule) (*os.Root, Grounds, error) {
	w := &way{judge: j, rule: rule}
	end, err := w.walk(dir)
	if err != nil {
		return nil, Grounds{}, err
	}
	defer end.close()
	if !end.facts.is(unix.S_IFDIR) {
		return nil, Grounds{}, fmt.Errorf("%s is no directory: move it away or set another path", end.facts.path)
	}
	// The folders above may be closed to reading, so that the way goes through
	// descriptors that only name them.
	root, err := os.OpenRoot(end.facts.path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, Grounds{}, fmt.Errorf("the user that runs Tokenkeeper may not use the directory %s: %w", dir, err)
	} else if err != nil {
		return nil, Grounds{}, err
	}
	info, err := root.Stat(".")
	if err == nil && !end.same(info) {
		err = fmt.Errorf("the directory %s was replaced just now", dir)
	}
	if err != nil {
		return nil, Grounds{}, errors.Join(err, root.Close())
	}
	return root, w.found, nil
}

// Examine examines an absolute path as Folder does, whatever it is, and opens
// nothing. With an error for what is missing, everything above it was
// found in order.
func (j Judge) Examine(path string, rule Rule) (Grounds, error) {
	w := &way{judge: j, rule: rule}
	end, err := w.walk(path)
	if err != nil {
		return Grounds{}, err
	}
	end.close()
	return w.found, nil
}

// step is one entry that is named by a descriptor (O_PATH in open(2)).
type step struct {
	fd       int
	facts    facts
	dev, ino uint64
}

func (s step) close() { _ = unix.Close(s.fd) }

func (s step) same(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Dev == s.dev && st.Ino == s.ino
}

// walk goes to the end of an absolute path and follows the links of those who
// are trusted. The caller closes what it returns.
func (w *way) walk(path string) (step, error) {
	if !filepath.IsAbs(path) {
		return step{}, fmt.Errorf("%s is no absolute path", path)
	}
	at, err := stepTo(unix.AT_FDCWD, "/", "/")
	if err != nil {
		return step{}, err
	}
	todo := split(path)
	err = w.pass(at.facts, len(todo) == 0)
	for links := 0; err == nil && len(todo) > 0; {
		var next step
		if next, err = stepTo(at.fd, todo[0], filepath.Join(at.facts.path, todo[0])); err != nil {
			break
		}
		todo = todo[1:]
		err = w.pass(next.facts, len(todo) == 0)
		if err != nil || !next.facts.is(unix.S_IFLNK) {
			at.close()
			at = next
			continue
		}
		var target string
		target, err = readLink(next)
		next.close()
		if links++; links > mostLinks {
			err = fmt.Errorf("%s: too many symbolic links", path)
		}
		if err == nil && filepath.IsAbs(target) {
			err = at.restart()
			w.sticky = false
		}
		todo = append(split(target), todo...)
	}
	if err != nil {
		at.close()
		return step{}, err
	}
	return at, nil
}

// pass enters one more entry. Who only looks goes on after a refusal.
func (w *way) pass(f facts, innermost bool) error {
	if w.leads {
		return w.led(f, innermost)
	}
	err := w.enter(f, innermost)
	var refusal *Refusal
	if w.looks && errors.As(err, &refusal) {
		return nil
	}
	return err
}

// restart goes back to the root, for a link that is absolute.
func (s *step) restart() error {
	root, err := stepTo(unix.AT_FDCWD, "/", "/")
	if err == nil {
		s.close()
		*s = root
	}
	return err
}

// split leaves ".." to the kernel: after a link it is not what the text says.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func stepTo(parent int, name, at string) (step, error) {
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return step{}, missing(at)
	case errors.Is(err, unix.EACCES):
		return step{}, fmt.Errorf("the user that runs Tokenkeeper may not search the directory above %s: %w", at, err)
	case err != nil:
		return step{}, fmt.Errorf("%s: %w", at, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return step{}, fmt.Errorf("%s: %w", at, err)
	}
	s := step{fd: fd, dev: st.Dev, ino: st.Ino, facts: facts{path: at, mode: st.Mode, uid: int(st.Uid), gid: int(st.Gid)}}
	if !s.facts.is(unix.S_IFLNK) {
		if s.facts.acl, err = listOf(fd); err != nil {
			s.close()
			return step{}, fmt.Errorf("%s: %w", at, err)
		}
	}
	return s, nil
}

// missing is the path of what is not there.
type missing string

func (m missing) Error() string        { return "there is no " + string(m) }
func (m missing) Is(target error) bool { return target == fs.ErrNotExist }

func readLink(s step) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(s.fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.facts.path, err)
	}
	return string(buf[:n]), nil
}
