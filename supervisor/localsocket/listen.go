// Package localsocket opens Unix sockets that other programs on this machine
// connect to, and says who connected.
package localsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// MaxPath is sizeof(sockaddr_un.sun_path) on Linux less the NUL that other
// programs expect (unix(7)).
const MaxPath = 107

// Options of [Listen].
type Options struct {
	// Name is what messages call the socket, and Key the setting that holds
	// its path.
	Name, Key string
	// InUse is added to the error if another program answers there.
	InUse string
	// Mode of the socket: who may write may connect.
	Mode fs.FileMode
	// MakeDir is the mode with which a missing directory is made; 0: none is.
	MakeDir fs.FileMode
	// TrustFolder takes a directory that others may write into.
	TrustFolder bool
	// OfFolder gives the socket, if root opens it, to whom the directory belongs: he could
	// not replace one of root's that a dead program has left there.
	OfFolder bool
}

// Listen opens a socket where nobody else can put one. One that a dead program
// left behind is replaced; one on which somebody answers, and anything that is no
// socket, is an error.
func Listen(path string, o Options) (*Socket, error) {
	if len(path) > MaxPath {
		return nil, fmt.Errorf("%s's path %s has %d bytes, and a Unix socket's can have at most %d: set %s to a shorter one",
			o.Name, path, len(path), MaxPath, o.Key)
	}
	if err := o.trusted(path); err != nil {
		return nil, err
	}
	if err := o.makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("making the directory of %s: %w", o.Name, err)
	}
	if err := o.removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		// Linux gives the socket file the mode of the socket that is bound, so
		// that there is no moment at which others could connect.
		var err error
		if e := conn.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return err
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", o.Name, err)
	}
	if err := widen(path, o.Mode.Perm(), o.OfFolder && os.Geteuid() == 0); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("setting who may connect to %s: %w", o.Name, err)
	}
	return newSocket(ln.(*net.UnixListener), path)
}

// makeDir makes the directory if it is missing and is to be made, whatever the umask.
func (o Options) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || o.MakeDir == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, o.MakeDir); err != nil {
		return err
	}
	return os.Chmod(dir, o.MakeDir)
}

// widen gives the socket that was just opened at path its mode, and to whom its folder
// belongs if it is to be his. Whoever owns the folder may have put something else there
// meanwhile: so what is there is held first, and must be a socket of our own, as one is
// when it is opened.
func widen(path string, mode fs.FileMode, ofFolder bool) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() || st.Mode&0o177 != 0 {
		return fmt.Errorf("%s is not the socket that was just opened: somebody has put something else there", path)
	}
	if ofFolder {
		var folder unix.Stat_t
		if err := unix.Stat(filepath.Dir(path), &folder); err != nil {
			return err
		}
		if err := unix.Fchownat(fd, "", int(folder.Uid), -1, unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if fs.FileMode(st.Mode).Perm() == mode {
		return nil
	}
	// fchmod(2) takes no descriptor of that kind; proc_pid_fd(5) names what it holds.
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// trusted refuses a path at which others could put a socket of their own. One
// that is missing is in order.
func (o Options) trusted(path string) error {
	if err := Trusted(path, o.TrustFolder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s can't be opened at %s: %w", o.Name, path, err)
	}
	return nil
}

// Trusted says whether nobody who is not trusted can put a socket of his own at
// path: nil, a [*trust.Refusal], or an error for a directory that is missing. With
// trustFolder others may write to the directory.
func Trusted(path string, trustFolder bool) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	judge, rule := trust.Here(), trust.Rule{OpenFolder: trustFolder}
	if _, err := judge.Private(filepath.Dir(path)); err == nil {
		return nil
	}
	grounds, err := judge.Examine(filepath.Dir(path), rule)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing is there, or opening it says what is wrong
	}
	return judge.Entry(path, info, rule, grounds)
}

// removeStale removes a socket at path if the kernel says that nobody listens
// on it.
func (o Options) removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at %s: %w", o.Name, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s can't be opened at %s: something that is no socket is there; set %s to another path or move it away", o.Name, path, o.Key)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another program answers on %s %s%s", o.Name, path, o.InUse)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%s %s may be in use: %w", o.Name, path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the stale %s: %w", o.Name, err)
	}
	return nil
}

// Refusal is [Trusted] without what is missing or can't be looked at.
func Refusal(path string, trustFolder bool) error {
	err := Trusted(path, trustFolder)
	if refusal := (*trust.Refusal)(nil); errors.As(err, &refusal) {
		return err
	}
	return nil
}
