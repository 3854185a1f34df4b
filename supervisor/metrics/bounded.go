package metrics

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// slowAnswer is after how long one who is being answered counts as one who says nothing:
// an answer takes milliseconds, and most scrapers wait no longer than ten seconds.
const slowAnswer = 5 * time.Second

// bounded is a listener with so many connections at most. When one more comes, one gives
// way on which nothing is asked, or an answer is not read: so whoever asks is answered,
// whatever others keep open. From where the most connections are, one gives way first.
type bounded struct {
	net.Listener
	most int

	mu     sync.Mutex
	free   *sync.Cond // there may be room
	inside []*guest   // in the order in which they said something last
	closed bool
}

// guest is one connection.
type guest struct {
	net.Conn
	of   *bounded
	from netip.Prefix

	// answered: it has asked, since then, and is being answered; of mu.
	answered bool
	since    time.Time
}

func newBounded(ln net.Listener, most int) *bounded {
	b := &bounded{Listener: ln, most: most}
	b.free = sync.NewCond(&b.mu)
	return b
}

// Accept implements [net.Listener].
func (b *bounded) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, of: b, from: whence(conn.RemoteAddr())}
	if !b.enter(g) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return g, nil
}

// enter waits for room, and makes it where it can; false: the listener was closed.
func (b *bounded) enter(g *guest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.inside) >= b.most && !b.closed {
		at := b.idlest(time.Now())
		if at >= 0 {
			_ = b.inside[at].Conn.Close() // its server sees that, and closes it once more
			b.inside = slices.Delete(b.inside, at, at+1)
			continue
		}
		later := time.AfterFunc(slowAnswer, b.free.Broadcast)
		b.free.Wait()
		later.Stop()
	}
	if b.closed {
		return false
	}
	g.since = time.Now()
	b.inside = append(b.inside, g)
	return true
}

// idlest is whose turn it is to give way: of those who can, one from where the most are,
// and of these the one who has said nothing for longest; -1: nobody can.
func (b *bounded) idlest(now time.Time) int {
	crowd := map[netip.Prefix]int{}
	for _, g := range b.inside {
		crowd[g.from]++
	}
	chosen := -1
	for n, g := range b.inside {
		if g.answered && now.Sub(g.since) < slowAnswer {
			continue
		}
		if chosen < 0 || crowd[g.from] > crowd[b.inside[chosen].from] {
			chosen = n
		}
	}
	return chosen
}

// Close implements [net.Listener].
func (b *bounded) Close() error {
	b.mu.Lock()
	b.closed = true
	b.free.Broadcast()
	b.mu.Unlock()
	return b.Listener.Close()
}

// heard is told by the server what becomes of a connection ([http.Server.ConnState]).
func (b *bounded) heard(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	g, ok := conn.(*guest)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.Index(b.inside, g)
	if at < 0 { // it had to give way
		return
	}
	g.answered, g.since = state == http.StateActive, time.Now()
	b.inside = append(slices.Delete(b.inside, at, at+1), g)
	b.free.Broadcast()
}

// Close implements [net.Conn].
func (g *guest) Close() error {
	g.of.mu.Lock()
	if at := slices.Index(g.of.inside, g); at >= 0 {
		g.of.inside = slices.Delete(g.of.inside, at, at+1)
	}
	g.of.free.Broadcast()
	g.of.mu.Unlock()
	return g.Conn.Close()
}

// whence is where somebody connects from: an address, or of IPv6 the network that one
// machine has.
func whence(addr net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	from, _ := ip.Prefix(bits)
	return from
}
