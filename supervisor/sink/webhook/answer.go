package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// judge sorts an answer by its status. Nothing of its headers or body gets
// into an error: a receiver may send back what it got.
func (s *Sink) judge(resp *http.Response) error {
	status := resp.StatusCode
	err := fmt.Errorf("the receiver answered %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status >= 300 && status <= 399:
		return fmt.Errorf("%w: redirects are not followed; set url to where it leads", err)
	case status == http.StatusGone:
		return fmt.Errorf("%w: %w", err, sink.ErrGone)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		err = fmt.Errorf("%w: check the secret, the headers and the receiver's clock", err)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		err = fmt.Errorf("%w: check the url", err)
	}
	if after, ok := retryAfter(resp.Header.Get("Retry-After"), s.cfg.Now()); ok && (status == http.StatusTooManyRequests || status >= 500) {
		return &sink.RetryAfterError{After: after, Err: err}
	}
	return err
}

// retryAfter reads the header, seconds or a date (RFC 9110, section 10.2.3).
// ok is false if it asks for no pause. The worker bounds the pause.
func retryAfter(header string, now time.Time) (after time.Duration, ok bool) {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, seconds > 0
	}
	at, err := http.ParseTime(header)
	if err != nil || !at.After(now) {
		return 0, false
	}
	return at.Sub(now), true
}

// explain says why there was no answer. net/http's own errors quote the URL,
// and some of them what the receiver sent: only what is known to be harmless
// is passed on.
func (s *Sink) explain(ctx context.Context, err error) error {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		tlsr tls.RecordHeaderError
		op   *net.OpError
		pair *pairError
		prox proxyError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("the delivery was cancelled: %w", context.Canceled)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return lateError{s.cfg.Timeout}
	case errors.As(err, &pair):
		return pair.err
	case errors.As(err, &prox):
		return prox
	case viaProxy(err):
		return fmt.Errorf("the proxy can't be reached (%s): check its URL", reason(err))
	case errors.As(err, &dns):
		return errors.New("the receiver's host name can't be resolved: check the url and this machine's DNS")
	case errors.As(err, &cert):
		return errors.New("the receiver's certificate is not valid for this machine: check its host name, its dates and who signed it")
	case errors.As(err, &tlsr), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the receiver does not speak TLS on this port: check the url")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens at the receiver's address: %w", syscall.ECONNREFUSED)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the receiver closed the connection before it had answered")
	case errors.As(err, &op):
		var errno syscall.Errno
		if errors.As(op.Err, &errno) {
			return fmt.Errorf("the connection to the receiver failed: %s: %w", op.Op, errno)
		}
		if op.Op == "remote error" && kind(op.Err) == "tls.alert" { // one of the texts of RFC 8446, section 6
			return fmt.Errorf("the receiver ended the TLS handshake (%w): if it asks for a certificate, set cert_file and key_file to one that it knows", op.Err)
		}
	}
	return fmt.Errorf("the receiver's answer could not be read as HTTP (%s)", kind(err))
}

// lateError is a deadline that has passed, without the standard library's words
// for it.
type lateError struct{ most time.Duration }

func (e lateError) Error() string {
	return fmt.Sprintf("the receiver did not answer in time (at most %s)", e.most)
}

func (e lateError) Unwrap() error { return context.DeadlineExceeded }

// viaProxy says whether it was the proxy that could not be reached.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks"))
}

// reason is the system's, if it is one, and else a hint.
func reason(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return "its host name can't be resolved"
	}
	return kind(err)
}

// kind names the innermost error's type: a hint that can't hold a secret.
func kind(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}
