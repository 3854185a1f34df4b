package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// explain says in our own words what went wrong, because the server's may
// quote a command. doing is what was tried.
func (s settings) explain(ctx context.Context, doing string, err error) error {
	failed := func(format string, args ...any) error {
		return fmt.Errorf("can't %s %s: %w", doing, s, fmt.Errorf(format, args...))
	}
	var answered goredis.Error
	switch {
	case ctx.Err() != nil:
		return failed("no answer came in time: %w", ctx.Err())
	case errors.As(err, &answered):
		return failed("%s", s.refusal(answered.Error()))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		// The connection may see the deadline before the context does.
		return failed("no answer came in time: %w", context.DeadlineExceeded)
	default:
		return failed("%s", trouble(err))
	}
}

// code is the first word of an error of the server.
var code = regexp.MustCompile(`^[A-Z]{2,20}$`)

// refusal explains an error that the server answered with.
func (s settings) refusal(text string) string {
	word, _, _ := strings.Cut(text, " ")
	// Two refusals have no code of their own in Redis 7.0: of what is denied
	// within a script, and of a command that is longer than one may send
	// before a login.
	switch {
	case strings.HasPrefix(text, "ERR The user executing the script can't"):
		word = "NOPERM"
	case strings.HasPrefix(text, "ERR Protocol error: unauthenticated"):
		word = "NOAUTH"
	}
	switch word {
	case "WRONGPASS", "NOAUTH":
		return "the server does not accept the login: check the settings " + settingUsername + " and " + settingPassword
	case "NOPERM":
		return "the user may not do that: " + s.permissions()
	case "OOM":
		return "the server has no memory left: raise its maxmemory, or let it evict keys"
	case "READONLY":
		return "the server is a read-only replica: name its primary in the setting " + settingAddress
	case "LOADING":
		return "the server is still reading its data from disk"
	case "MISCONF":
		return "the server takes no writes because it can't save them to disk: look at its log"
	case "BUSY":
		return "the server is busy with a script of another program"
	case "MASTERDOWN", "NOREPLICAS":
		return "the server takes no writes because of its replication"
	case "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT":
		return "the server is a node of a Redis Cluster, which this sink does not know"
	case "WRONGTYPE":
		return "a key holds something that is no string, and so is another program's: change the setting " + settingKey
	}
	switch {
	case strings.HasPrefix(text, "ERR max number of clients"):
		return "the server has too many clients"
	case strings.HasPrefix(text, "ERR DB index"):
		return "the server has no database of that number: check the setting " + settingDB
	case code.MatchString(word):
		return "the server answered with the error " + word
	default:
		return "the server answered with an error"
	}
}

// trouble explains an error of the connection.
func trouble(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		untrusted   Untrusted
	)
	switch {
	case errors.As(err, &untrusted):
		return untrusted.Error()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return "nothing listens at this address"
	case errors.Is(err, fs.ErrPermission):
		return "this program may not open the socket: check its owner and mode"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server ended the connection before it answered"
	case errors.As(err, &dns):
		return "the name of the server can't be resolved"
	case errors.As(err, &certificate):
		return "the server's certificate is not trusted: check the setting " + settingCAFile
	case errors.As(err, &record):
		return "the server does not speak TLS: check the setting " + settingTLS
	default:
		return "the connection failed"
	}
}
