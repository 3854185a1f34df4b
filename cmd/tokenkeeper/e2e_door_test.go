package main

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

// door is a broker's front over TLS that can keep a client in the handshake:
// the client has connected and has not sent anything of its request.
type door struct {
	net.Listener
	// tokenURL and roots, a file of CA certificates, are for the client.
	tokenURL, roots string

	mu   sync.Mutex
	next *knock
}

// knock is one connection that waits at the door.
type knock struct {
	entered chan struct{} // closed when the client has begun the handshake
	opened  chan struct{} // closed when it may go on
}

func (k *knock) open() { close(k.opened) }

// newDoor serves sim behind a door.
func newDoor(t *testing.T, sim *brokersim.Server) *door {
	t.Helper()
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that are killed
	d := &door{Listener: server.Listener}
	server.Listener = d
	server.StartTLS()
	t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	d.tokenURL = server.URL + "/token"
	d.roots = filepath.Join(t.TempDir(), "roots.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(d.roots, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// holdNext keeps the next connection in its handshake.
func (d *door) holdNext() *knock {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = &knock{entered: make(chan struct{}), opened: make(chan struct{})}
	return d.next
}

func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.next
	d.next = nil
	if k == nil {
		return conn, nil
	}
	return &waitingConn{Conn: conn, knock: k}, nil
}

// waitingConn answers nothing before its knock is opened.
type waitingConn struct {
	net.Conn
	knock *knock
	once  sync.Once
}

func (c *waitingConn) Write(b []byte) (int, error) {
	c.once.Do(func() {
		close(c.knock.entered)
		<-c.knock.opened
	})
	return c.Conn.Write(b)
}
