package lockloan

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// unclaimed is how long a lock is kept whose call does not come: it was made
// right after the lending, or never.
const unclaimed = time.Minute

// Borrower is the provider's side. It is safe for concurrent use; nil has
// nothing.
type Borrower struct {
	mu     sync.Mutex
	socket int
	held   map[string][]loan // by attempt
}

type loan struct {
	fd int
	at time.Time
}

// Borrow takes over the inherited end and says hello.
func Borrow(socket int) (*Borrower, error) {
	unix.CloseOnExec(socket) // whoever else had it would keep what is on its way
	_, err := retry(func() (int, error) {
		return 0, unix.Sendto(socket, []byte(hello), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	})
	if err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	return &Borrower{socket: socket, held: map[string][]loan{}}, nil
}

// Take returns what was lent for the attempt: giveBack closes it, and must be
// called once, when the attempt is over and its answer is durable.
func (b *Borrower) Take(attempt string) (giveBack func()) {
	if b == nil {
		return func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive()
	taken := b.held[attempt]
	delete(b.held, attempt)
	for other, loans := range b.held {
		if time.Since(loans[0].at) > unclaimed {
			closeAll(loans)
			delete(b.held, other)
		}
	}
	return func() { closeAll(taken) }
}

// receive takes in all that has come.
func (b *Borrower) receive() {
	id, rights := make([]byte, longestID), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oob := 0, 0
		_, err := retry(func() (_ int, err error) {
			n, oob, _, _, err = unix.Recvmsg(b.socket, id, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			return n, err
		})
		if err != nil || n == 0 && oob == 0 { // nothing more has come, or the supervisor is gone
			return
		}
		for _, fd := range descriptors(rights[:oob]) {
			attempt := string(id[:n])
			b.held[attempt] = append(b.held[attempt], loan{fd: fd, at: time.Now()})
		}
	}
}

func descriptors(rights []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if !errors.Is(err, unix.EINVAL) {
			fds = append(fds, more...)
		}
	}
	return fds
}

func closeAll(loans []loan) {
	for _, l := range loans {
		_ = unix.Close(l.fd)
	}
}
