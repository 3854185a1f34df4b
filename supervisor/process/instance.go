package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// instance is a process that [Command] launched.
type instance struct {
	child   *child
	client  *plugin.Client
	conn    *grpc.ClientConn
	sockets string
	steered *steering
	from    *started

	lost  chan struct{} // closed when the process or its connection is gone
	freed sync.Once
}

// connect starts the process and returns when the connection stands, or at the
// latest soon after the start's timeout: go-plugin's calls can block on a
// process that hangs.
func (in *instance) connect(ctx context.Context) error {
	type result struct {
		protocol plugin.ClientProtocol
		err      error
	}
	done := make(chan result, 1)
	go func() {
		p, err := in.client.Client()
		done <- result{p, err}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout+time.Second, errors.New("the process hangs"))
	defer cancel()
	select {
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		c, ok := r.protocol.(*plugin.GRPCClient)
		if !ok {
			return fmt.Errorf("go-plugin made a %T", r.protocol)
		}
		in.conn = c.Conn
		return nil
	case <-ctx.Done():
		// The kill ends the client's wait, too, so that the caller may then
		// look at the process.
		in.child.signalGroup(unix.SIGKILL)
		select {
		case <-done:
		case <-time.After(killTimeout):
		}
		return context.Cause(ctx)
	}
}

// watchConnection closes lost when the process exits, or when the connection
// is lost although it does not.
func (in *instance) watchConnection() {
	defer close(in.lost)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		stood := false
		for {
			state := in.conn.GetState()
			if stood && state != connectivity.Ready {
				return
			}
			stood = stood || state == connectivity.Ready
			if state == connectivity.Shutdown || !in.conn.WaitForStateChange(ctx, state) {
				return
			}
		}
	}()
	select {
	case <-in.child.exited:
		// Calls must fail even if a grandchild holds the connection open.
		_ = in.conn.Close()
	case <-broken:
		select {
		case <-in.child.exited: // which breaks the connection first
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// connection carries the calls to a process, and beside them the descriptors of
// locks (see [sdk.LockLender]).
type connection struct {
	grpc.ClientConnInterface
	*lockloan.Lender
}

// Conn implements [Instance].
func (in *instance) Conn() grpc.ClientConnInterface {
	return connection{steeredConn{hearsay.Conn{To: in.conn, Secrets: in.child.log.secrets}, in.steered}, in.child.locks}
}

// PID implements [Instance].
func (in *instance) PID() int { return in.child.pid() }

// Exited implements [Instance].
func (in *instance) Exited() <-chan struct{} { return in.lost }

// Err implements [Instance].
func (in *instance) Err() error {
	select {
	case <-in.child.exited:
		if err := in.child.result(); err != nil {
			return err
		}
		return errors.New("exit status 0")
	default:
		return errors.New("its connection broke although it still ran")
	}
}

// Stops implements [Instance].
func (in *instance) Stops() <-chan bool { return in.child.stops }

// Continue implements [Instance].
func (in *instance) Continue() { in.child.signalGroup(unix.SIGCONT) }

// Kill implements [Instance].
func (in *instance) Kill() { in.child.signalGroup(unix.SIGKILL) }

// End implements [Instance].
func (in *instance) End(grace time.Duration) {
	in.child.letGo()
	if !await(in.child.exited, grace) {
		in.child.signalGroup(unix.SIGKILL)
		await(in.child.exited, killTimeout)
	}
	in.free()
}

// free gives back what the instance holds. go-plugin's Kill ends its
// goroutines and its connection; the process is gone by now, or can't be
// killed, and then Kill waits for ever: not we.
func (in *instance) free() {
	in.freed.Do(func() {
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			in.client.Kill()
		}()
		await(killed, killTimeout)
		_ = os.RemoveAll(in.sockets)
	})
}

// await returns whether c was closed within d.
func await(c <-chan struct{}, d time.Duration) bool {
	select {
	case <-c:
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}
