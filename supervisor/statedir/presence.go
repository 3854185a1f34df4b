package statedir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// The lock on the state directory goes where the directory goes. So that a
// supervisor is known also after somebody has moved its directory away, and a
// second one does not begin on an empty directory at the same path, each has an
// abstract Unix socket (unix(7)), whose name is that of the path. Nobody speaks
// over it: the kernel says which process has it.

// presenceName is the same for everybody who means the same state directory:
// the same path, of the same user, under the same root. Containers that share
// the network of their machine have roots of their own.
func presenceName(stateDir string) string {
	if abs, err := filepath.Abs(stateDir); err == nil {
		stateDir = abs
	}
	var root unix.Stat_t
	_ = unix.Stat("/", &root)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d:%d %s", os.Geteuid(), root.Dev, root.Ino, stateDir))
	return fmt.Sprintf("@tokenkeeper-%x", sum[:16]) // the @ stands for the zero byte
}

// presence is this supervisor's socket. Its zero value is that of one that could
// have none.
type presence struct {
	mu sync.Mutex
	fd int // 0: none
}

const (
	// presenceBacklog is how many may ask between two looks.
	presenceBacklog = 4096
	presenceRetry   = 20 * time.Millisecond
	// presencePatience is for one that ends just now.
	presencePatience = time.Second
)

// appear takes the name of a state directory. The error is [store.ErrInUse] if
// another supervisor has it. warning is why it can't be had otherwise: that must
// keep no token from being refreshed.
func appear(stateDir string) (_ *presence, warning string, err error) {
	name := presenceName(stateDir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return &presence{}, fmt.Sprintf("no socket can be had to show which state directory is in use: %v", err), nil
	}
	for start := time.Now(); ; time.Sleep(presenceRetry) {
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err == nil {
			if err = unix.Listen(fd, presenceBacklog); err == nil {
				return &presence{fd: fd}, "", nil
			}
			break
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Since(start) >= presencePatience {
			break
		}
	}
	_ = unix.Close(fd)
	pid, there := whoIs(name)
	switch {
	case pid > 0:
		return nil, "", runsAlready(stateDir, pid)
	case there:
		return &presence{}, "a process that can't be seen from here, in another container or of another user, says that it uses the state directory " +
			stateDir + ": make sure that it is not a supervisor with the same accounts", nil
	}
	return &presence{}, fmt.Sprintf("it can't be shown which state directory is in use: %v", err), nil
}

// runsAlready refuses a second supervisor.
func runsAlready(stateDir string, pid int) error {
	if _, err := store.Peek(stateDir); errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%w: %s is that of a supervisor (process %d); stop that one first, or give this one a state directory of its own",
			store.ErrInUse, stateDir, pid)
	}
	return fmt.Errorf("%w: %s is that of a supervisor (process %d), which runs although its directory has been moved or removed; "+
		"it makes it again within half a minute. Stop that one first (kill %[3]d), or give this one a state directory of its own",
		store.ErrInUse, stateDir, pid)
}

// Displaced is the PID of a supervisor that has the state directory at a path and
// runs although nobody listens at its control socket, because the directory has been
// moved or removed; 0: there is none.
func Displaced(path string) (pid int) {
	pid, _ = whoIs(presenceName(path))
	return pid
}

// startingName is held, beside the other, while a supervisor starts.
func startingName(stateDir string) string { return presenceName(stateDir) + "-starting" }

// stoppingName is held, beside the first, while a supervisor stops.
func stoppingName(stateDir string) string { return presenceName(stateDir) + "-stopping" }

// announce shows that a supervisor starts, or stops, for as long as the presence is open. Its
// zero value stands for one that can't be had: then others take that for what [Displaced]
// tells.
func announce(name string) *presence {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return &presence{}
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err == nil {
		err = unix.Listen(fd, presenceBacklog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return &presence{}
	}
	return &presence{fd: fd}
}

// Starting is the PID of a supervisor that has the state directory at a path and does
// not listen at its control socket yet, because it starts; 0: there is none.
func Starting(path string) (pid int) {
	pid, _ = whoIs(startingName(path))
	return pid
}

// Stopping is the PID of a supervisor that has the state directory at a path and does not
// listen at its control socket any more, because it stops; 0: there is none.
func Stopping(path string) (pid int) {
	pid, _ = whoIs(stoppingName(path))
	return pid
}

// whoIs returns the process that has a name; 0 if there is none, if it can't be
// seen from here, or if it is another user's, whose word counts for nothing.
func whoIs(name string) (pid int, there bool) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return 0, errors.Is(err, unix.EAGAIN) // too many have asked
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(cred.Uid) != os.Geteuid() {
		return 0, true
	}
	return int(cred.Pid), true
}

// look lets go of those who have asked.
func (p *presence) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.fd > 0 {
		fd, _, err := unix.Accept4(p.fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.Close(fd)
	}
}

func (p *presence) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fd := p.fd
	if p.fd = 0; fd == 0 {
		return nil
	}
	return unix.Close(fd)
}
