//go:build !linux

package client

import "net"

// trusted: the supervisor runs on Linux only.
func trusted(net.Conn, string, []string) error { return nil }
