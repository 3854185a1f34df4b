// Package metrics is the listener of monitoring systems: over TCP they read metrics and
// health there, and can do nothing else.
package metrics

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keypair"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// What a stranger may take of this process: so many connections, each for so long.
const (
	mostConnections = 64
	maxHeader       = 16 << 10
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	writeTimeout    = 30 * time.Second
	// idleTimeout is more than a minute, which many scrapers wait between two requests.
	idleTimeout = 75 * time.Second
)

// Listener is a member of the root group. It listens from [Open] on, and answers while it
// runs.
type Listener struct {
	cfg     config.Metrics
	handler func() http.Handler
	log     *slog.Logger
	// certificate is looked at again and again; nil: clear text.
	certificate *mounts.Glance[certificate]

	mu     sync.Mutex
	opened net.Listener // nil: it is being served, or was closed
	said   error        // of the certificate in the files, last
}

// certificate is what there is to show, and why it is not what is in the files.
type certificate struct {
	pair  *tls.Certificate
	err   error
	stale error
}

// Open listens. Its error says what to do. handler is asked for when the Listener runs.
func Open(cfg config.Metrics, handler func() http.Handler, log *slog.Logger) (*Listener, error) {
	l := &Listener{cfg: cfg, handler: handler, log: log}
	if cfg.CertFile != "" {
		pair := pairOf(cfg)
		l.certificate = mounts.NewGlance(func() (c certificate) {
			c.pair, c.err = pair.Current()
			c.stale = pair.Stale()
			return c
		})
		if _, err := l.shown(); err != nil { // it may come later, and nobody's token waits for it
			log.Warn("metrics are served to nobody before their certificate can be read", "listen", cfg.Listen, "error", err)
		}
	}
	var err error
	if l.opened, err = listen(cfg.Listen); err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	return l, nil
}

// Try says why Open would fail; nil: it would not, as things are now.
func Try(cfg config.Metrics) error {
	ln, err := listen(cfg.Listen)
	if err == nil {
		_ = ln.Close()
	}
	return err
}

func listen(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() { // 0.0.0.0 would be all addresses of IPv6, too
		network = "tcp4"
	}
	ln, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s already: end it (ss -ltnp says which it is), or write another port", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address of %s, or not yet: write one that \"ip address\" shows", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("user %d may not listen on %s: write a port above 1023", os.Geteuid(), address)
	}
	return ln, err
}

// Close is for a Listener that does not run.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		return nil
	}
	err := l.opened.Close()
	l.opened = nil
	return err
}

// take returns what Open has opened, or what it opens again.
func (l *Listener) take() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln := l.opened; ln != nil {
		l.opened = nil
		return ln, nil
	}
	return listen(l.cfg.Listen)
}

// Run answers until ctx ends.
func (l *Listener) Run(ctx context.Context) error {
	ln, err := l.take()
	if err != nil {
		return err
	}
	// A scanner's every connection that fails would be a line of the log.
	quiet := slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	srv := &http.Server{
		Handler:           l.told(onlyBearer(l.cfg.Token, l.handler())),
		Protocols:         new(http.Protocols),
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog:    quiet,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	srv.Protocols.SetHTTP1(true)
	few := newBounded(localsocket.Patient{Listener: ln}, mostConnections)
	ln, srv.ConnState = few, few.heard
	if l.certificate != nil {
		ln = tls.NewListener(ln, &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.shown() },
		})
	}
	l.log.Info("metrics are served to monitoring systems", "listen", l.cfg.Listen, "tls", l.certificate != nil, "token", !l.cfg.Token.IsZero())
	return control.ServeUntil(ctx, srv, ln)
}

// Status says where it listens, and until when its certificate is good.
func (l *Listener) Status() control.MetricsListener {
	s := control.MetricsListener{Listen: l.cfg.Listen, TLS: l.certificate != nil}
	if l.certificate == nil {
		return s
	}
	c := l.looked()
	s.CertificateExpiry = ends(c.pair, c.err)
	if problem := cmp.Or(c.stale, c.err); problem != nil {
		s.CertificateProblem = problem.Error()
	}
	return s
}

// Look tells in the log, once for each change of the files, of a renewed certificate that
// can't be used: nobody who asks would see that.
func (l *Listener) Look() {
	if l.certificate == nil {
		return
	}
	c := l.looked()
	l.mu.Lock()
	before := l.said
	l.said = c.stale
	l.mu.Unlock()
	switch {
	case c.stale == before: //nolint:errorlint // the very one that was told
	case c.stale != nil && c.pair != nil:
		l.log.Warn("the renewed certificate of the metrics can't be used, and the one before is shown on; it is tried again all the time",
			"listen", l.cfg.Listen, "ends", ends(c.pair, nil), "error", c.stale)
	case c.stale == nil:
		l.log.Info("the certificate of the metrics can be used now", "listen", l.cfg.Listen, "ends", ends(c.pair, c.err))
	}
}

// looked is the certificate of the moment. For a disk that is dead nobody waits for long:
// it is the one before then.
func (l *Listener) looked() certificate {
	c := l.certificate.Now()
	if c.pair == nil && c.err == nil {
		c.err = errors.New("metrics.tls: the disk with the certificate does not answer")
	}
	return c
}

func (l *Listener) shown() (*tls.Certificate, error) {
	c := l.looked()
	return c.pair, c.err
}

// told says in the log what a question has brought down. To who has asked it is a failure.
func (l *Listener) told(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v != http.ErrAbortHandler { //nolint:errorlint // a value that may be anything, a token too
				l.log.Error("a defect of Tokenkeeper: a question of a monitoring system was not answered; please report it",
					"path", r.URL.Path, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h.ServeHTTP(w, r)
	})
}

// CertificateExpiry is when the certificate of a configuration ends; zero: there is
// none, or it can't be read.
func CertificateExpiry(cfg config.Metrics) time.Time {
	if cfg.CertFile == "" {
		return time.Time{}
	}
	return ends(pairOf(cfg).Current())
}

func pairOf(cfg config.Metrics) *keypair.Pair {
	return keypair.New(keypair.File{Key: "metrics.tls.cert_file", Path: cfg.CertFile}, keypair.File{Key: "metrics.tls.key_file", Path: cfg.KeyFile})
}

// ends is when the certificate ends; zero: it can't be read.
func ends(pair *tls.Certificate, err error) time.Time {
	if err != nil || pair.Leaf == nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter.UTC()
}
