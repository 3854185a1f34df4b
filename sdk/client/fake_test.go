package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

// supervisor answers the calls that the client makes, over connections in
// memory, so that tests can run in simulated time. Its answers are the ones
// that the supervisor's own tests hold the real server to.
type supervisor struct {
	mu      sync.Mutex
	tokens  map[string]answer // by account; Version 0: none yet
	readers map[chan string]struct{}
	seq     int
	dials   []time.Time
	asked   int // calls for a token
	server  *http.Server
	conns   chan net.Conn
	// works is how long a call takes that waits for a broker, and brings what comes of it;
	// nil: nothing.
	works  time.Duration
	brings func()
	// connecting, if set, happens just before a reader of events is let in.
	connecting func()
}

type answer struct {
	Version     uint64    `json:"version"`
	AccessToken string    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	Expiry      time.Time `json:"expires_at"`
}

// newSupervisor returns one that does not run yet, and its client.
func newSupervisor(t *testing.T) (*supervisor, *client.Client) {
	t.Helper()
	s := &supervisor{tokens: map[string]answer{}, readers: map[chan string]struct{}{}}
	c := client.New("control.sock", client.WithDial(s.dial))
	t.Cleanup(func() {
		c.Close()
		s.stop()
		synctest.Wait()
	})
	return s, c
}

func (s *supervisor) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	s.dials = append(s.dials, time.Now())
	conns := s.conns
	s.mu.Unlock()
	if conns == nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *supervisor) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/accounts/{account}/token", s.token)
	mux.HandleFunc("POST /v1/accounts/{account}/token", s.usable)
	mux.HandleFunc("GET /v1/events", s.events)
	s.conns = make(chan net.Conn)
	s.server = &http.Server{Handler: mux}
	s.seq = 0
	go func(server *http.Server, l listener) { _ = server.Serve(l) }(s.server, listener{s.conns, make(chan struct{})})
}

// stop ends every connection, as the end of the process does.
func (s *supervisor) stop() {
	s.mu.Lock()
	server := s.server
	s.server, s.conns = nil, nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// set is a token that becomes durable and known; publish is when it is told.
func (s *supervisor) set(account string, version uint64, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := answer{Version: version}
	if version > 0 {
		a = answer{version, fmt.Sprintf("at-%s-%d", account, version), "Bearer", time.Now().Add(left)}
	}
	s.tokens[account] = a
}

func (s *supervisor) publish(account string, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	line := fmt.Sprintf(`{"seq":%d,"type":"refreshed","account":%q,"version":%d,"message":"m"}`+"\n", s.seq, account, version)
	for r := range s.readers {
		r <- line
	}
}

// renew is a refresh.
func (s *supervisor) renew(account string, version uint64, left time.Duration) {
	s.set(account, version, left)
	s.publish(account, version)
}

// lose is an event that readers do not get.
func (s *supervisor) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
}

func (s *supervisor) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	a, ok := s.tokens[r.PathValue("account")]
	s.mu.Unlock()
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "not_found", "no account is named so")
	case a.Version == 0:
		refuse(w, http.StatusNotFound, "no_token", "log in with tokenkeeper login")
	default:
		_ = json.NewEncoder(w).Encode(a)
	}
}

func (s *supervisor) usable(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	works, brings := s.works, s.brings
	s.mu.Unlock()
	select {
	case <-time.After(works):
		if brings != nil {
			brings()
		}
		s.token(w, r)
	case <-r.Context().Done():
	}
}

func (s *supervisor) events(w http.ResponseWriter, r *http.Request) {
	if s.connecting != nil {
		s.connecting()
	}
	lines := make(chan string, 100)
	s.mu.Lock()
	s.readers[lines] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.readers, lines)
		s.mu.Unlock()
	}()
	w.WriteHeader(http.StatusOK)
	conn := http.NewResponseController(w)
	_ = conn.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case line := <-lines:
			if _, err := w.Write([]byte(line)); err != nil || conn.Flush() != nil {
				return
			}
		}
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "error": message})
}

// listener accepts connections in memory.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { close(l.closed); return nil }
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "control.sock", Net: "unix"} }
