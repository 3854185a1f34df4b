package localsocket

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is who connected, as the kernel says (SO_PEERCRED and SO_PEERGROUPS in unix(7)).
type Peer struct {
	UID uint32
	PID int32
	// Groups are those that the process was in as it connected, its own first.
	Groups []uint32
}

// PeerOf says who is at the other end of a Unix socket's connection.
func PeerOf(conn net.Conn) (Peer, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return Peer{}, fmt.Errorf("a %T has no peer credentials", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var groups []uint32
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			groups, credErr = groupsOf(fd)
		}
	}); err != nil {
		return Peer{}, err
	}
	if credErr != nil {
		return Peer{}, credErr
	}
	return Peer{UID: cred.Uid, PID: cred.Pid, Groups: append([]uint32{cred.Gid}, groups...)}, nil
}

// groupsOf are the supplementary groups of the peer. A kernel before 4.13 tells none.
func groupsOf(fd uintptr) ([]uint32, error) {
	for room := 64; ; room *= 2 {
		groups := make([]uint32, room)
		size := uint32(4 * room)
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case e == 0:
			return groups[:size/4], nil
		case errors.Is(e, unix.ENOPROTOOPT):
			return nil, nil
		case !errors.Is(e, unix.ERANGE) || room > 1<<16: // NGROUPS_MAX
			return nil, e
		}
	}
}
