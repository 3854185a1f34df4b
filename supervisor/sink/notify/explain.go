package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"
)

// tooManyPause is how long to leave a service alone that says that it was asked
// too often. The library does not tell what the service asked for.
const tooManyPause = time.Minute

// errTooMany: the service wants to be left alone for a while.
var errTooMany = errors.New("the service answered 429 Too Many Requests")

// statusText finds an HTTP status line in the text of an error.
var statusText = regexp.MustCompile(`\b([45][0-9]{2}) ([A-Z][A-Za-z' -]+)`)

// fragments of what net, crypto/tls and net/http say, and what they mean. Some
// services of the library pass on texts and not errors.
var fragments = []struct{ has, means string }{
	{"connection refused", "connection refused"},
	{"connection reset", "the connection was cut off"},
	{"broken pipe", "the connection was cut off"},
	{"no such host", "its host name is not known"},
	{"server misbehaving", "its host name can't be looked up"},
	{"no route to host", "no way to the host"},
	{"network is unreachable", "the network can't be reached"},
	{"certificate", "its TLS certificate is not trusted"},
	{"handshake failure", "no TLS connection"},
	{"deadline exceeded", "no answer in time"},
	{"i/o timeout", "no answer in time"},
	{"Timeout exceeded", "no answer in time"},
	{"EOF", "the connection was cut off"},
}

// explain says what an error of the library means, in words of our own: its
// text, and what it wraps, can hold the URL. The result wraps nothing of it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if code := httpStatus(err); code == http.StatusTooManyRequests {
		return errTooMany
	} else if code != 0 {
		return fmt.Errorf("the service answered %d %s", code, http.StatusText(code))
	}
	var (
		mail    *textproto.Error
		dns     *net.DNSError
		trust   *tls.CertificateVerificationError
		network net.Error
		errno   syscall.Errno
	)
	switch {
	case errors.Is(err, errRedirected):
		return errRedirected
	case errors.As(err, &mail) && mail.Code >= 400 && mail.Code <= 599:
		return fmt.Errorf("the mail server refused with code %d (RFC 5321, section 4.2.3)", mail.Code)
	case errors.As(err, &dns) && dns.IsNotFound:
		return errors.New("its host name is not known")
	case errors.As(err, &trust):
		return errors.New("its TLS certificate is not trusted")
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &errno):
		return errors.New(errno.Error())
	}
	text := err.Error()
	if strings.Contains(text, errRedirected.Error()) {
		return errRedirected
	}
	for _, f := range fragments {
		if strings.Contains(text, f.has) {
			return errors.New(f.means)
		}
	}
	return errors.New("the message was not taken; the reason is not repeated here, as it could quote the URL: see whether this machine reaches the service, and whether the password, the token and the receiver in the URL are right")
}

// httpStatus of an answer that said no; 0: there was none.
func httpStatus(err error) int {
	var answered jsonclient.Error
	if errors.As(err, &answered) && http.StatusText(answered.StatusCode) != "" {
		return answered.StatusCode
	}
	for _, found := range statusText.FindAllStringSubmatch(err.Error(), -1) {
		code, _ := strconv.Atoi(found[1])
		if text := http.StatusText(code); text != "" && strings.HasPrefix(found[2], text) {
			return code
		}
	}
	return 0
}
