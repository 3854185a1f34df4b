//go:build !linux

package client

import (
	"context"
	"net"
)

// dial: the supervisor runs on Linux only.
func dial(ctx context.Context, socket string, _ []string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", socket)
}
