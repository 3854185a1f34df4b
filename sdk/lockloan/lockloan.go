// Package lockloan lends a provider the lock of an account's shared file for
// the time of an attempt. An flock(2) belongs to what was opened, and stands
// until the last descriptor of that is closed: so it outlives a supervisor that
// is killed while the provider's request is on its way, and no other program
// uses the refresh token in the meantime. Whoever lives may unlock it for all,
// and the supervisor does, as soon as the token is stored and written.
//
// A descriptor can't travel by gRPC. It goes through a socket pair (unix(7),
// SOCK_SEQPACKET) that the process inherits: the provider first says "hello"
// there, once, and then gets a packet for each attempt, before the call, with
// the attempt's id as its content and the descriptor as SCM_RIGHTS. A lock of
// fcntl(2) can't be lent, because it belongs to a process.
//
// A supervisor that dies leaves the answer in the provider's spool, and the
// spent refresh token in the shared file. So the orphaned provider keeps the lock
// after the answer, for a bounded time, and offers it in the spool's folder
// ([Borrower.Offer]): the next supervisor takes it over ([Collect]) before it
// waits for the spool, and it is never free in between.
package lockloan

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// hello is how a provider says that it takes locks.
const hello = "hello"

// longestID is more than the id of any attempt.
const longestID = 256

// ErrNotTaken: the provider has not said that it takes locks.
var ErrNotTaken = errors.New("the provider takes no locks")

// Lender is the supervisor's side of one process. It is safe for concurrent use.
type Lender struct {
	mu     sync.Mutex
	socket *os.File // nil: closed
	takes  bool
}

// Pair makes both ends; the process inherits theirs, which the caller closes
// then.
func Pair() (ours *Lender, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return &Lender{socket: os.NewFile(uintptr(fds[0]), "locks")}, os.NewFile(uintptr(fds[1]), "locks"), nil
}

// LendLock gives the process a copy of fd for the attempt, whose call comes
// next. It never blocks. The error, perhaps [ErrNotTaken], means that the lock
// would not outlive the caller: no reason not to make the attempt.
func (l *Lender) LendLock(attempt string, fd int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return os.ErrClosed
	}
	socket := int(l.socket.Fd())
	if !l.takes {
		var b [longestID]byte
		n, err := retry(func() (int, error) {
			n, _, err := unix.Recvfrom(socket, b[:], unix.MSG_DONTWAIT)
			return n, err
		})
		if err != nil || string(b[:n]) != hello {
			return ErrNotTaken
		}
		l.takes = true
	}
	_, err := retry(func() (int, error) {
		return unix.SendmsgN(socket, []byte(attempt), unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err != nil {
		return fmt.Errorf("lend the lock to the provider: %w", err)
	}
	return nil
}

// Close ends the lending. What was lent stays with the process.
func (l *Lender) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return nil
	}
	err := l.socket.Close()
	l.socket = nil
	return err
}

// retry makes a system call again that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
