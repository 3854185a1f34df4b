package unixsocket

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// That there is no descriptor left for a moment ends nothing; for long it is told, as is
// at once what says something of the socket.
func TestNoRoomForAConsumer(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		fails time.Duration
		want  error
	}{
		"for a moment":         {syscall.EMFILE, 10 * time.Second, nil},
		"for long":             {syscall.EMFILE, time.Hour, syscall.EMFILE},
		"the memory is full":   {syscall.ENOBUFS, 10 * time.Second, nil},
		"the socket is closed": {net.ErrClosed, time.Second, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				conn, err := acceptPatiently(func() (*net.UnixConn, error) {
					if time.Since(began) < c.fails {
						return nil, &net.OpError{Op: "accept", Err: c.err}
					}
					return &net.UnixConn{}, nil
				})
				if took := time.Since(began); !errors.Is(err, c.want) || (conn != nil) != (c.want == nil) || took > 2*acceptPatience {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}
