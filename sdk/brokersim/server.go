package brokersim

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is one simulated authorization server with its protected resources.
// It is an http.Handler that needs no goroutine of its own, and safe for
// concurrent use. Create it inside the synctest bubble that uses it.
type Server struct {
	desk
	faultQueue
	mux *http.ServeMux
}

// New creates a server. It panics where cfg contradicts itself.
func New(cfg Config) *Server {
	rules := rulesOf(cfg.Dialect)
	cfg.complete(rules)
	s := &Server{mux: http.NewServeMux()}
	s.cfg, s.rules, s.handler, s.closed = cfg, rules, s, make(chan struct{})
	s.tally, s.changed, s.counted = newTally(), make(chan struct{}), &s.tallies
	s.grants, s.refresh, s.access = map[string][]*grant{}, map[string]*refreshToken{}, map[string]*accessToken{}
	s.budget, s.ousted = budget{}, map[string]bool{}
	s.login, s.codes, s.devices = login{account: DefaultAccount}, map[string]*authCode{}, map[string]*deviceLogin{}
	s.assertions, s.lastStep = map[string]bool{}, map[string]int64{}
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
	if cfg.Revokes != RevokesNothing {
		s.mux.HandleFunc("POST "+revokePath, func(w http.ResponseWriter, r *http.Request) { s.serveToken(w, r, s.parseRevocation) })
	}
	s.mux.HandleFunc("GET /resource", s.serveResource)
	s.mux.HandleFunc("GET "+rules.apiPrefix, s.serveResource)
	return s
}

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
