package webclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keypair"
)

// explain says why there was no answer. net/http's own errors quote the URL,
// and some of them what the receiver sent: only what is known to be harmless
// is passed on.
func explain(ctx context.Context, by way, err error, most time.Duration) error {
	var (
		pair *keypair.Error
		prox proxyError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("the delivery was cancelled: %w", context.Canceled)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return by.named(lateError{most})
	case errors.As(err, &pair):
		return pair.Unwrap()
	case errors.As(err, &prox):
		return by.refused(prox.status)
	case viaProxy(err):
		return fmt.Errorf("%s can't be reached (%s): check its URL", by, reason(err))
	}
	return by.named(explainReceiver(err))
}

// explainReceiver is explain where the receiver was at the other end.
func explainReceiver(err error) error {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		tlsr tls.RecordHeaderError
		op   *net.OpError
	)
	switch {
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
		if errno, ok := errors.AsType[syscall.Errno](op.Err); ok {
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
