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
	held   map[string]loan // by attempt
	orphan bool            // the lender's end is closed
}

type loan struct {
	fd      int
	at      time.Time
	claimed bool
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
	return &Borrower{socket: socket, held: map[string]loan{}}, nil
}

// Claim is for the beginning of an attempt's call: what was lent for it is kept
// until GiveBack. What was lent long ago for a call that never came is closed.
func (b *Borrower) Claim(attempt string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive()
	for id, l := range b.held {
		switch {
		case id == attempt:
			l.claimed = true
			b.held[id] = l
		case !l.claimed && time.Since(l.at) > unclaimed:
			b.drop(id)
		}
	}
}

// GiveBack closes what was lent for the attempt, if anything was.
func (b *Borrower) GiveBack(attempt string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(attempt)
}

func (b *Borrower) drop(attempt string) {
	if l, ok := b.held[attempt]; ok {
		_ = unix.Close(l.fd)
		delete(b.held, attempt)
	}
}

// receive takes in all that has come. Of more than one loan for an attempt the
// newest counts: the lender has unlocked the one before it.
func (b *Borrower) receive() {
	id, rights := make([]byte, longestID), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oob := 0, 0
		_, err := retry(func() (_ int, err error) {
			n, oob, _, _, err = unix.Recvmsg(b.socket, id, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			return n, err
		})
		if err != nil { // nothing more has come
			b.orphan = b.orphan || errors.Is(err, unix.ECONNRESET)
			return
		}
		if n == 0 && oob == 0 {
			b.orphan = true
			return
		}
		attempt := string(id[:n])
		claimed := b.held[attempt].claimed
		for _, fd := range descriptors(rights[:oob]) {
			b.drop(attempt)
			b.held[attempt] = loan{fd: fd, at: time.Now(), claimed: claimed}
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
