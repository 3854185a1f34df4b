package control_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// crowdedSocket has no room for its first connections.
type crowdedSocket struct {
	net.Listener
	errs []error
}

func (c *crowdedSocket) Accept() (net.Conn, error) {
	if len(c.errs) > 0 {
		err := c.errs[0]
		c.errs = c.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return c.Listener.Accept()
}

// That the machine has no room for a connection does not end the control API, and with
// it the supervisor.
func TestNoRoomForACaller(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "c.sock")
	ln, err := control.Listen(path, config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	stop := serveOn(t, &crowdedSocket{ln, []error{syscall.ENOMEM, syscall.ENOBUFS, syscall.EMFILE, syscall.ECONNABORTED}},
		control.NewServer(&backend{}, event.NewBus(log, time.Now), log))
	defer stop()
	c := control.NewClient(path)
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}
