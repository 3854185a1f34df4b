package lockloan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Collect takes over the locks that an orphaned borrower offers in dir, and
// returns when that process has ended, or ctx. keep gets each one before the
// borrower is told that it need not stay for them. The error says that nobody
// offers any, or that it was not to be had: it may be tried again.
func Collect(ctx context.Context, dir string, keep func(lock *os.File)) error {
	at, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer at.Close()
	address := through(at)
	conn, err := net.DialUnix(address.Net, nil, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if err := trusted(conn); err != nil {
		return fmt.Errorf("locks offered in %s: %w", dir, err)
	}
	if err := conn.SetDeadline(time.Now().Add(answersWithin)); err != nil {
		return err
	}
	if err := receiveAll(conn, keep); err != nil {
		return fmt.Errorf("take over the locks offered in %s: %w", dir, err)
	}
	if _, err := conn.Write([]byte(taken)); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	if ctx.Err() == nil {
		_, _ = conn.Read(make([]byte, 1)) // for as long as the process lives
	}
	return nil
}

// receiveAll reads what a borrower sends.
func receiveAll(conn *net.UnixConn, keep func(*os.File)) error {
	id, rights := make([]byte, longestID), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oob, _, _, err := conn.ReadMsgUnix(id, rights)
		if err != nil {
			return err
		}
		fds := descriptors(rights[:oob])
		if len(fds) == 0 {
			if string(id[:n]) != thatIsAll {
				return errors.New("that is no offer")
			}
			return nil
		}
		for _, fd := range fds {
			keep(os.NewFile(uintptr(fd), "lock"))
		}
	}
}
