package redis

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// longest is how long a call without a deadline may wait for a connection.
const longest = 30 * time.Second

// with runs f with a connection that is closed when f returns, and earlier if
// ctx ends: the library heeds deadlines, but not a context that is cancelled
// while it waits for an answer.
func (s settings) with(ctx context.Context, f func(*goredis.Client) error) error {
	var release []func() bool
	client := goredis.NewClient(&goredis.Options{
		Network: s.network, Addr: s.address, Username: s.username, Password: s.password, DB: s.db,
		Dialer: func(dialing context.Context, network, address string) (net.Conn, error) {
			conn, err := s.connect(dialing, network, address)
			if err == nil {
				release = append(release, context.AfterFunc(ctx, func() { _ = conn.Close() }))
			}
			return conn, err
		},
		DialTimeout: longest, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1,
		// Everything is tried once: the supervisor decides about trying again.
		MaxRetries: -1, DialerRetries: 1, PoolSize: 1, MaxActiveConns: 1,
		// No more commands than needed, so that the user needs few rights.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ReadBufferSize:           4096, WriteBufferSize: 4096,
	})
	defer func() {
		_ = client.Close()
		for _, stop := range release {
			stop()
		}
	}()
	return f(client)
}

// Dial connects to the Unix socket at path. It refuses, before anything is said, to
// connect to somebody who is not trusted: users are whom the setting allow_uids
// names. The error is then an [Untrusted].
type Dial func(ctx context.Context, path, users string) (net.Conn, error)

// Untrusted is why nothing is said to whoever serves a socket. Its text is told.
type Untrusted struct{ Reason error }

func (u Untrusted) Error() string { return u.Reason.Error() }

func (s settings) connect(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case network == "unix":
		return s.dial(ctx, address, s.users)
	case s.tls != nil:
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
