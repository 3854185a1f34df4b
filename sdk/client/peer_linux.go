package client

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// trusted refuses a connection to somebody who is neither root, nor the user
// that runs this process, nor the owner of the folder of what was connected to, if
// nobody else can write there, as the kernel says (SO_PEERCRED in unix(7)): he has
// opened a socket there first, and would hand out tokens of his own. users are
// trusted beside, by name or number.
func trusted(conn net.Conn, socket, real string, users []string) error {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("who serves the socket %s can't be told", socket)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("who serves the socket %s can't be told: %w", socket, peerErr)
	}
	if uid := int(peer.Uid); uid == 0 || uid == os.Geteuid() || isOneOf(users, uid) || ownsFolder(real, uid) {
		return nil
	}
	return fmt.Errorf("%w: user %d (process %d) serves %s: end that process, or name the right socket; if he runs the supervisor, say so with WithUsers", ErrStranger, peer.Uid, peer.Pid, socket)
}

// isOneOf asks the machine for names at each connection: a user may be made
// after the client.
func isOneOf(users []string, uid int) bool {
	number := strconv.Itoa(uid)
	return slices.ContainsFunc(users, func(name string) bool {
		if _, err := strconv.ParseUint(name, 10, 32); err == nil {
			return name == number
		}
		u, err := user.Lookup(name)
		return err == nil && u.Uid == number
	})
}

// ownsFolder says whether a user owns the folder of a socket, to which no link
// leads, and nobody but him, us and root can change what leads there.
func ownsFolder(socket string, uid int) bool {
	path := filepath.Dir(socket)
	for first := true; ; first = false {
		info, err := os.Lstat(path)
		if err != nil {
			return false
		}
		st := info.Sys().(*syscall.Stat_t)
		theirs := int(st.Uid) == uid
		switch {
		case first && !theirs, st.Mode&0o022 != 0:
			return false
		case !theirs && st.Uid != 0 && int(st.Uid) != os.Geteuid():
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}
