package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerKey holds a connection's peer in its context.
type peerKey struct{}

// peer is who connected, as the kernel says (SO_PEERCRED in unix(7)).
type peer struct {
	uid uint32
	pid int32
	err error
}

// withPeer notes the peer of a new connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(conn))
}

func peerOf(conn net.Conn) peer {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return peer{err: fmt.Errorf("a %T has no peer credentials", conn)}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peer{err: err}
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peer{err: err}
	}
	if credErr != nil {
		return peer{err: credErr}
	}
	return peer{uid: cred.Uid, pid: cred.Pid}
}

// onlyOwner lets the user who runs the supervisor and root pass. The socket's
// mode says the same; this holds also if somebody widens it.
func (s *Server) onlyOwner(next http.Handler) http.Handler {
	own := uint32(os.Geteuid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok || p.err != nil || p.uid != own && p.uid != 0 {
			s.log.Warn("a caller of the control API was turned away", "uid", p.uid, "pid", p.pid, "error", p.err)
			w.Header().Set("Connection", "close")
			writeError(w, Errorf(CodeForbidden, "only user %d, who runs the supervisor, and root may use the control API", own))
			return
		}
		next.ServeHTTP(w, r)
	})
}
