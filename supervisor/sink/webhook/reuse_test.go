package webhook_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// A receiver that says a word with its 200, as most do, does not cost each
// account of a start a TLS handshake.
func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, answer := range map[string]string{"empty": "", "short": `{"ok":true}`} {
		for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(name+" over "+version, func(t *testing.T) {
				var opened atomic.Int32
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, answer)
				}))
				server.EnableHTTP2 = version == "HTTP/2"
				server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						opened.Add(1)
					}
				}
				server.StartTLS()
				t.Cleanup(server.Close)
				known := x509.NewCertPool()
				known.AddCert(server.Certificate())
				s := newSink(t, webhook.Config{URL: server.URL, RootCAs: known})
				for v := range uint64(20) {
					if err := s.Deliver(t.Context(), sinktest.Bare("a", v+1)); err != nil {
						t.Fatal(err)
					}
				}
				if n := opened.Load(); n != 1 {
					t.Errorf("20 deliveries, one after the other, over %d connections", n)
				}
			})
		}
	}
}

// A connection that dies without a farewell, as at a firewall that forgets it,
// is given up although there is always a delivery on the way over it.
func TestDeadConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	known := x509.NewCertPool()
	known.AddCert(server.Certificate())
	var dead atomic.Bool // of the first connection
	firewall, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = firewall.Close() })
	go func() {
		for first := true; ; first = false {
			in, err := firewall.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = in.Close(); _ = out.Close() })
			for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
				go func() {
					buf := make([]byte, 1<<14)
					for {
						n, err := from.Read(buf)
						if err != nil {
							_ = to.Close()
							return
						}
						if !first || !dead.Load() {
							_, _ = to.Write(buf[:n])
						}
					}
				}()
			}
		}
	}()
	s := newSink(t, webhook.Config{URL: "https://" + firewall.Addr().String(), RootCAs: known, Timeout: 3 * time.Second})
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	var accounts sync.WaitGroup
	for i := range 3 { // so that the connection is never idle
		accounts.Go(func() {
			<-time.After(time.Duration(i) * time.Second)
			for v := uint64(1); ; v++ {
				err := s.Deliver(t.Context(), sinktest.Bare(string(rune('b'+i)), v))
				if err == nil {
					return
				}
				if v > 15 {
					t.Errorf("after %d tries: %v", v, err)
					return
				}
			}
		})
	}
	accounts.Wait()
}
