// Command tokenkeeper-sink-redis lets Tokenkeeper set and publish tokens in
// Redis. It is a program of its own, so that the Redis client is not part of
// the main one.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

func main() { sdk.ServeSink(redis.New(dial)) }

// dial asks of a server's socket what the supervisor asks of every other.
func dial(ctx context.Context, path, users string) (net.Conn, error) {
	allow, err := localsocket.Users(users)
	if err != nil {
		return nil, redis.Untrusted{Reason: fmt.Errorf("setting allow_uids: %w", err)}
	}
	conn, err := localsocket.Dial(ctx, path, allow)
	var peer *trust.PeerRefusal
	var link *trust.Refusal
	switch {
	case errors.As(err, &peer):
		return nil, redis.Untrusted{Reason: fmt.Errorf("%w; if that is the right one, write allow_uids: %s", err, peer.Key)}
	case errors.As(err, &link):
		return nil, redis.Untrusted{Reason: err}
	}
	return conn, err
}
