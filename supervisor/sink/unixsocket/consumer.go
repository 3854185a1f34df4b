package unixsocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	errSlow = errors.New("the consumer does not read")
	errLeft = errors.New("the consumer has left")
)

// farewellTime is how long a last line may take.
const farewellTime = 100 * time.Millisecond

// consumer is one program that is connected to us.
type consumer struct {
	conn *net.UnixConn
	// turn lets one at a time write; who takes from it has the turn.
	turn chan struct{}
	// sent is the newest version of each account that was written. Who has the
	// turn may use it.
	sent map[string]uint64

	once sync.Once
	gone chan struct{}
}

// newConsumer has the turn taken already.
func newConsumer(conn *net.UnixConn) *consumer {
	return &consumer{conn: conn, turn: make(chan struct{}, 1), sent: map[string]uint64{}, gone: make(chan struct{})}
}

func (c *consumer) giveTurn() { c.turn <- struct{}{} }

func (c *consumer) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.conn.Close()
	})
}

// line is what consumers are sent, with a line end.
type line struct {
	text []byte
	// account and version, if it holds a token; else zero.
	account string
	version uint64
	// again: whoever has this version gets it once more.
	again bool
	// about says for people what it is.
	about string
}

// send writes the line unless the consumer has what it holds, or has something
// newer, which the store had when it came.
func (c *consumer) send(ctx context.Context, l line, timeout time.Duration) error {
	select {
	case <-c.turn:
		defer c.giveTurn()
	case <-c.gone:
		return errLeft
	case <-ctx.Done():
		return ctx.Err()
	}
	return c.write(ctx, l, time.Now().Add(timeout))
}

// write is for who has the turn. A consumer that does not take the whole line
// by the deadline is disconnected.
func (c *consumer) write(ctx context.Context, l line, deadline time.Time) error {
	if has, ok := c.sent[l.account]; ok && l.version > 0 && (has > l.version || has == l.version && !l.again) {
		return nil
	}
	_ = c.conn.SetWriteDeadline(deadline)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetWriteDeadline(time.Unix(1, 0))
		close(ended)
	})
	n, err := c.conn.Write(l.text)
	if !stop() {
		<-ended // or it would end the next one's write
	}
	switch {
	case err == nil:
		if l.version > 0 {
			c.sent[l.account] = l.version
		}
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		c.close()
		return errLeft
	case time.Now().Before(deadline) && n == 0:
		return ctx.Err() // nothing is broken
	}
	reason := fmt.Sprintf("you did not read for too long, and there is more to tell: connect again and read all the time (%s)", l.about)
	if n > 0 {
		c.say([]byte("\n"))
	}
	c.farewell(reason)
	if time.Now().Before(deadline) && ctx.Err() != nil {
		return ctx.Err()
	}
	return errSlow
}

// farewell says why, if that can be written, and disconnects.
func (c *consumer) farewell(reason string) {
	c.say(errorLine(reason))
	c.close()
}

// say makes room for a last line first: the buffer of one that does not read
// is full.
func (c *consumer) say(line []byte) {
	_ = c.conn.SetWriteBuffer(1 << 20)
	_ = c.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	_, _ = c.conn.Write(line)
}

// awaitEnd returns when the consumer has hung up. One that only said that it
// will send nothing (shutdown(2), as many command-line tools do at once) goes
// on to read. What it sends is thrown away.
func (c *consumer) awaitEnd() {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 512)
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				return true
			}
			if n <= 0 {
				break
			}
		}
		poll := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP and POLLERR come unasked
		_, err := unix.Poll(poll, 0)
		return err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
}

// errorLine is the last line of a consumer that is turned away.
func errorLine(reason string) []byte {
	b, err := json.Marshal(struct {
		Error string `json:"error"`
	}{reason})
	if err != nil { // text can always be written
		return nil
	}
	return append(b, '\n')
}
