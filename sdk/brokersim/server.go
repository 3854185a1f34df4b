package brokersim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is one simulated authorization server with its protected resources.
// It is an http.Handler that needs no goroutine of its own, and safe for
// concurrent use. Create it inside the synctest bubble that uses it.
type Server struct {
	cfg   Config
	rules rules
	mux   *http.ServeMux

	mu      sync.Mutex // guards what follows
	grants  map[string][]*grant
	refresh map[string]*refreshToken
	access  map[string]*accessToken
	codes   map[string]*authCode
	devices map[string]*deviceLogin
	// assertions are the ids of those that were used, lastStep the newest TOTP code
	// of each account.
	assertions map[string]bool
	lastStep   map[string]int64
	budget     budget
	ousted     map[string]bool // access tokens whose grant another login has ended
	login      login
	faults     []*Fault
	chaos      chaos
	tally      tally
	changed    chan struct{} // closed and replaced at every change

	closing sync.Once
	closed  chan struct{}

	listening sync.Mutex // guards what follows
	address   string
	listener  *http.Server
}

// New creates a server. It panics where cfg contradicts itself.
func New(cfg Config) *Server {
	rules := rulesOf(cfg.Dialect)
	cfg.complete(rules)
	s := &Server{
		cfg: cfg, rules: rules,
		mux:     http.NewServeMux(),
		grants:  map[string][]*grant{},
		refresh: map[string]*refreshToken{},
		access:  map[string]*accessToken{},
		codes:   map[string]*authCode{},
		devices: map[string]*deviceLogin{},

		assertions: map[string]bool{}, lastStep: map[string]int64{}, budget: budget{}, ousted: map[string]bool{},
		login:   login{account: DefaultAccount},
		tally:   newTally(),
		changed: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	s.mux.HandleFunc("GET "+rules.authorizePath, s.serveAuthorize)
	s.mux.HandleFunc(rules.tokenPath, func(w http.ResponseWriter, r *http.Request) { s.serveToken(w, r, s.parseTokenRequest) })
	if rules.renewPath != "" {
		s.mux.HandleFunc("GET "+rules.renewPath, func(w http.ResponseWriter, r *http.Request) { s.serveToken(w, r, s.parseRenewal) })
	}
	if rules.mintPath != "" {
		s.mux.HandleFunc("POST "+rules.mintPath, func(w http.ResponseWriter, r *http.Request) { s.serveToken(w, r, s.parseMint) })
	}
	if rules.keepalivePath != "" {
		s.mux.HandleFunc("POST "+rules.keepalivePath, s.serveKeepalive)
	}
	if cfg.Device {
		s.mux.HandleFunc("POST "+devicePath, s.serveDevice)
		s.mux.HandleFunc("GET "+approvePath, s.serveApproval)
	}
	s.mux.HandleFunc("GET /resource", s.serveResource)
	s.mux.HandleFunc("GET "+rules.apiPrefix, s.serveResource)
	return s
}

// Config returns the configuration with its defaults filled in and Speed
// applied to the lifetimes.
func (s *Server) Config() Config { return s.cfg }

// ServeHTTP answers the broker's paths. To cut a connection it panics with
// http.ErrAbortHandler, so it needs a real http.Server above it (over any
// listener), not an httptest.ResponseRecorder.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().Add(s.cfg.ClockAhead).UTC().Format(http.TimeFormat))
	s.mux.ServeHTTP(w, r)
}

// Start listens on a free port of 127.0.0.1, or, after Stop, on the same one
// again.
func (s *Server) Start() error {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.listener != nil {
		return errors.New("brokersim: already started; call Stop first")
	}
	address := s.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("brokersim: the simulated %s can't listen: %w", s.cfg.Dialect, err)
	}
	s.address = l.Addr().String()
	s.listener = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.listener.Serve(l) // ends when Stop closes the listener
	return nil
}

// Stop is an outage: the port is closed and every open connection is cut.
// Grants live on. Requests that are held or delayed stay so and are processed
// afterwards, as behind a broker's broken front end; no answer reaches anyone.
func (s *Server) Stop() {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
}

// Close stops for good and lets every held or delayed request go, cut in the
// window in which it is.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.closed) })
	s.Stop()
}

// URL is the server's address without a slash at the end.
func (s *Server) URL() string {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.address == "" {
		return s.cfg.BaseURL
	}
	return "http://" + s.address
}

// AuthorizeURL is where a person logs in.
func (s *Server) AuthorizeURL() string { return s.URL() + s.rules.authorizePath }

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.URL() + s.rules.tokenPath }

// RenewURL renews the living access token that a GET carries; "": the broker has
// no such thing.
func (s *Server) RenewURL() string { return s.at(s.rules.renewPath) }

// MintURL logs an account in with a PIN and a TOTP code; "": the broker has no
// such thing.
func (s *Server) MintURL() string { return s.at(s.rules.mintPath) }

// KeepaliveURL takes a beat (POST); "": the broker has no such thing.
func (s *Server) KeepaliveURL() string { return s.at(s.rules.keepalivePath) }

func (s *Server) at(path string) string {
	if path == "" {
		return ""
	}
	return s.URL() + path
}

// ResourceURL is a protected resource: 200 with a living access token, else
// 401.
func (s *Server) ResourceURL() string { return s.URL() + "/resource" }

func (s *Server) now() time.Time { return s.cfg.Now() }

// notify wakes those who wait for a change; s.mu is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Wait returns as soon as done holds for the counters; it looks again at each
// change and does not poll. The error is ctx's.
func (s *Server) Wait(ctx context.Context, done func(Stats) bool) error {
	for {
		s.mu.Lock()
		stats, changed := s.stats(), s.changed
		s.mu.Unlock()
		if done(stats) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("brokersim: waiting for the simulated %s: %w", s.cfg.Dialect, context.Cause(ctx))
		}
	}
}
