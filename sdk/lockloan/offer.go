package lockloan

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// socketName is the socket in the spool's folder on which locks are offered.
	socketName = "locks.sock"
	// thatIsAll follows the last lock, without a descriptor.
	thatIsAll = "that is all"
	// taken is what the next supervisor says then.
	taken = "taken"
	// answersWithin bounds each side's wait for the other.
	answersWithin = 5 * time.Second
	// lenderDies is more than the time between the ends of a dead supervisor's
	// descriptors.
	lenderDies = time.Second
)

// Offer is what an orphaned borrower holds ready for the next supervisor. nil
// offers nothing.
type Offer struct {
	from     *Borrower
	listener *net.UnixListener
	dir      *os.File // through which the socket is reached: a path may be too long for one

	mu    sync.Mutex
	heirs int
	heir  chan struct{} // closed while there is one
}

// Offer begins to offer the locks of the calls that have come to whoever
// connects to a socket in dir, which is the caller's alone: the peer must be the
// same user, or root. nil: there are none. It is for the end of the lender, and
// what was lent for calls that have not come is given back.
func (b *Borrower) Offer(dir string) (*Offer, error) {
	if b == nil || !b.takeClaims() {
		return nil, nil
	}
	at, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	address := through(at)
	_ = os.Remove(address.Name) // of a process that was killed: the folder is ours alone
	l, err := net.ListenUnix(address.Net, address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("offer locks in %s: %w", dir, err), at.Close())
	}
	o := &Offer{from: b, listener: l, dir: at, heir: make(chan struct{})}
	go o.serve()
	return o, nil
}

// through is the socket in an open folder.
func through(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Net: "unixpacket", Name: filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), socketName)}
}

// takeClaims takes in what has come and keeps what has been claimed. It returns
// whether there is any.
func (b *Borrower) takeClaims() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive()
	for id, l := range b.held {
		if !l.claimed {
			b.drop(id)
		}
	}
	return len(b.held) > 0
}

// Wait returns when the next supervisor has the locks; when there is none to
// hand over, or whoever has lent them lives, and so has let go of this process;
// at the latest after limit. Its caller has no call in flight any more.
func (o *Offer) Wait(limit time.Duration) {
	if o == nil || !o.from.orphaned() || !o.from.lock() {
		return
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	o.mu.Lock()
	heir := o.heir
	o.mu.Unlock()
	select {
	case <-heir:
	case <-late.C:
	}
}

// Close ends the offer, not what is held.
func (o *Offer) Close() error {
	if o == nil {
		return nil
	}
	return errors.Join(o.listener.Close(), o.dir.Close())
}

// orphaned says whether the lender is dead, if anything is still held.
func (b *Borrower) orphaned() bool {
	late := time.Now().Add(lenderDies)
	for {
		b.mu.Lock()
		b.receive()
		orphan, some := b.orphan, len(b.held) > 0
		b.mu.Unlock()
		left := time.Until(late)
		if orphan || !some || left <= 0 {
			return orphan && some
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(b.socket)}}, int(left.Milliseconds())+1)
	}
}

// lock makes sure that what is held carries a lock, which its dead lender may
// have given back, and closes what does not, because somebody else has it now.
// It returns whether anything is left.
func (b *Borrower) lock() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, l := range b.held {
		_, err := retry(func() (int, error) { return 0, unix.Flock(l.fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err != nil {
			b.drop(id)
		}
	}
	return len(b.held) > 0
}

func (o *Offer) serve() {
	for {
		conn, err := o.listener.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			o.handOver(conn)
		}()
	}
}

// handOver gives a peer all locks. It is the heir for as long as it keeps the
// connection.
func (o *Offer) handOver(conn *net.UnixConn) {
	if conn.SetDeadline(time.Now().Add(answersWithin)) != nil || trusted(conn) != nil || o.from.send(conn) != nil {
		return
	}
	answer := make([]byte, len(taken))
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != taken {
		return
	}
	o.counts(1)
	defer o.counts(-1)
	_ = conn.SetDeadline(time.Time{})
	_, _ = conn.Read(answer)
}

// send sends a copy of each descriptor.
func (b *Borrower) send(conn *net.UnixConn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, l := range b.held {
		if _, _, err := conn.WriteMsgUnix([]byte(id), unix.UnixRights(l.fd), nil); err != nil {
			return err
		}
	}
	_, err := conn.Write([]byte(thatIsAll))
	return err
}

// counts counts heirs.
func (o *Offer) counts(more int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.heirs
	o.heirs += more
	switch {
	case before == 0:
		close(o.heir)
	case o.heirs == 0:
		o.heir = make(chan struct{})
	}
}

// trusted refuses a peer that is neither the same user nor root, as the kernel
// says (SO_PEERCRED in unix(7)).
func trusted(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return peerErr
	}
	if uid := int(peer.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("user %d (process %d) is neither root nor ours", uid, peer.Pid)
	}
	return nil
}
