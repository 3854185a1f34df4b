package redis_test

import (
	"net"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Directions of a proxy.
const (
	toServer = iota
	toClient
)

// proxy stands between the sink and the server, to see what passes.
type proxy struct {
	r       *rig
	address string
	mu      sync.Mutex
	see     func(direction int, b []byte) (pass bool)
}

func (r *rig) proxy() *proxy {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.t.Cleanup(func() { _ = l.Close() })
	p := &proxy{r: r, address: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", r.socket())
			if err != nil {
				_ = client.Close()
				continue
			}
			go p.pass(toServer, client, server)
			go p.pass(toClient, server, client)
		}
	}()
	return p
}

// set says what is called with all that is about to be passed on. If it
// returns false, the connection ends instead.
func (p *proxy) set(see func(direction int, b []byte) (pass bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.see = see
}

func (p *proxy) pass(direction int, from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		pass := p.see == nil || p.see(direction, buffer[:n])
		p.mu.Unlock()
		if !pass {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// request goes through the proxy.
func (p *proxy) request(n uint64) sdk.DeliverRequest {
	req := p.r.request("saxo-live", n)
	req.Settings = with(req.Settings, "address", p.address)
	return req
}
