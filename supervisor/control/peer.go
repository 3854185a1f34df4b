package control

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// peerKey holds a connection's peer in its context.
type peerKey struct{}

// peer is who connected, or why that is not known.
type peer struct {
	localsocket.Peer
	err error
}

// withPeer notes the peer of a new connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	who, err := localsocket.PeerOf(conn)
	return context.WithValue(ctx, peerKey{}, peer{who, err})
}

// onlyOwner lets the user who runs the supervisor and root pass. The socket's
// mode says the same; this holds also if somebody widens it.
func (s *Server) onlyOwner(next http.Handler) http.Handler {
	own := uint32(os.Geteuid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok || p.err != nil || p.UID != own && p.UID != 0 {
			s.log.Warn("a caller of the control API was turned away", "uid", p.UID, "pid", p.PID, "error", p.err)
			w.Header().Set("Connection", "close")
			writeError(w, Errorf(CodeForbidden, "only user %d, who runs the supervisor, and root may use the control API", own))
			return
		}
		next.ServeHTTP(w, r)
	})
}
