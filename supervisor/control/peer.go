package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// peerKey holds a connection's peer in its context.
type peerKey struct{}

// peer is who connected, or why that is not known, and what he may do.
type peer struct {
	localsocket.Peer
	err    error
	rights rights
}

// withPeer notes the peer of a new connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if v, ok := conn.(*visit); ok {
		ctx = context.WithValue(ctx, peerKey{}, v.peer)
	}
	return ctx
}

func peerOf(r *http.Request) peer {
	if p, ok := r.Context().Value(peerKey{}).(peer); ok {
		return p
	}
	return peer{Peer: localsocket.Peer{UID: nobody}, err: errors.New("it did not come through the socket")}
}

// How many connections may be open at once, of one reader, of all readers, and of all
// together who may do nothing: they would use up the files that the supervisor can have
// open, and who runs it would find no place.
const (
	mostOfReader    = 128
	mostOfReaders   = 512
	mostOfStrangers = 16
)

// gate is the listener that sees who comes.
type gate struct {
	net.Listener
	server *Server

	mu     sync.Mutex
	inside map[uint32]int // by user; all strangers count as [nobody]
}

// visit is a connection whose other end is known.
type visit struct {
	net.Conn
	peer  peer
	leave func()
}

// Accept implements [net.Listener].
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		v := &visit{Conn: conn}
		if v.peer.Peer, v.peer.err = localsocket.PeerOf(conn); v.peer.err == nil {
			v.peer.rights = g.server.admission.rightsOf(v.peer.Peer)
		}
		if g.enter(v) {
			return v, nil
		}
		_ = conn.Close()
		if g.server.refusals.due(v.peer.UID, time.Now()) {
			g.server.log.Warn("connections to the control socket were closed at once, because their user, or all readers together, have too many", "uid", v.peer.UID, "pid", v.peer.PID)
		}
	}
}

// enter counts a visit, until it is closed, unless there are too many.
func (g *gate) enter(v *visit) bool {
	who, most := v.peer.UID, mostOfReader
	switch {
	case v.peer.rights.all:
		v.leave = func() {}
		return true
	case v.peer.rights.none():
		who, most = nobody, mostOfStrangers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[who] >= most || who != nobody && g.readers() >= mostOfReaders {
		return false
	}
	g.inside[who]++
	v.leave = sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.inside[who]--; g.inside[who] == 0 {
			delete(g.inside, who)
		}
	})
	return true
}

// readers is how many of their connections are open. The caller holds mu.
func (g *gate) readers() (all int) {
	for who, n := range g.inside {
		if who != nobody {
			all += n
		}
	}
	return all
}

// Close implements [net.Conn].
func (v *visit) Close() error {
	v.leave()
	return v.Conn.Close()
}
