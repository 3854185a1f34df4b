package brokersim

import (
	"net/http"
	"sync"
	"time"
)

// site is where the server is reached, whether it is, and what it is like: nothing of it
// changes by a request.
type site struct {
	cfg     Config
	rules   rules
	handler http.Handler

	closing sync.Once
	closed  chan struct{}

	listening sync.Mutex // guards what follows
	address   string
	listener  *http.Server
}

// Config returns the configuration with its defaults filled in and Speed
// applied to the lifetimes.
func (s *site) Config() Config { return s.cfg }

// Stop is an outage: the port is closed and every open connection is cut.
// Grants live on. Requests that are held or delayed stay so and are processed
// afterwards, as behind a broker's broken front end; no answer reaches anyone.
func (s *site) Stop() {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
}

// Close stops for good and lets every held or delayed request go, cut in the
// window in which it is.
func (s *site) Close() {
	s.closing.Do(func() { close(s.closed) })
	s.Stop()
}

// URL is the server's address without a slash at the end.
func (s *site) URL() string {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.address == "" {
		return s.cfg.BaseURL
	}
	return "http://" + s.address
}

// AuthorizeURL is where a person logs in.
func (s *site) AuthorizeURL() string { return s.URL() + s.rules.authorizePath }

// TokenURL is the token endpoint.
func (s *site) TokenURL() string { return s.URL() + s.rules.tokenPath }

// RenewURL renews the living access token that a GET carries; "": the broker has
// no such thing.
func (s *site) RenewURL() string { return s.at(s.rules.renewPath) }

// MintURL logs an account in with a PIN and a TOTP code; "": the broker has no
// such thing.
func (s *site) MintURL() string { return s.at(s.rules.mintPath) }

// KeepaliveURL takes a beat (POST); "": the broker has no such thing.
func (s *site) KeepaliveURL() string { return s.at(s.rules.keepalivePath) }

func (s *site) at(path string) string {
	if path == "" {
		return ""
	}
	return s.URL() + path
}

// ResourceURL is a protected resource: 200 with a living access token, else
// 401.
func (s *site) ResourceURL() string { return s.URL() + "/resource" }

func (s *site) now() time.Time { return s.cfg.Now() }
