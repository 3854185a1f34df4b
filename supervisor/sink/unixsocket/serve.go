package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Serve opens the socket and takes consumers until ctx ends; then all are
// disconnected and the socket is gone. If somebody else removes or replaces the
// socket, it is opened again, and who is connected stays so.
func (l *Listener) Serve(ctx context.Context, newest func(context.Context) iter.Seq2[sink.Delivery, error]) error {
	here, err := l.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		err := l.accept(ctx, here, func(conn *net.UnixConn) {
			conns.Go(func() { l.take(ctx, conn, newest) })
		})
		if !errors.Is(err, errVanished) {
			return err
		}
		if here, err = l.reopen(ctx); err != nil {
			return err
		}
	}
}

// accept hands out connections until ctx ends or the socket has vanished from
// its path, and leaves nothing of ours there.
func (l *Listener) accept(ctx context.Context, here *place, take func(*net.UnixConn)) error {
	ctx, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if here.vanishes(ctx, l.look) {
			end(errVanished)
		}
	})
	stop := context.AfterFunc(ctx, func() { _ = here.Close() })
	defer func() { end(nil); stop(); _ = here.Close(); watching.Wait() }()
	for {
		conn, err := acceptPatiently(here.AcceptUnix)
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("taking a connection on %s: %w", l.cfg.Path, err)
		}
		take(conn)
	}
}

const (
	// acceptPause is the pause after an error that says nothing of the socket, and
	// acceptPatience for how long nothing but those may come before it is told.
	acceptPause    = 100 * time.Millisecond
	acceptPatience = time.Minute
)

// acceptPatiently takes the next connection. That there is no room for one costs those
// that are connected nothing.
func acceptPatiently(accept func() (*net.UnixConn, error)) (*net.UnixConn, error) {
	var since time.Time
	for {
		conn, err := accept()
		if !localsocket.NoRoom(err) {
			return conn, err
		}
		if since.IsZero() {
			since = time.Now()
		} else if time.Since(since) >= acceptPatience {
			return nil, err
		}
		time.Sleep(acceptPause)
	}
}

// take looks after one connection until it ends.
func (l *Listener) take(ctx context.Context, conn *net.UnixConn, newest func(context.Context) iter.Seq2[sink.Delivery, error]) {
	c := newConsumer(conn)
	defer c.close()
	if refusal := l.refuse(conn); refusal != "" {
		c.farewell(refusal)
		return
	}
	// It has the turn from the beginning: what is delivered from now on is
	// written after what the store holds now.
	if !l.enter(c) {
		c.farewell(fmt.Sprintf("%d consumers are connected, and more are not taken: set max_consumers", l.cfg.MaxConsumers))
		return
	}
	defer l.leave(c)
	defer context.AfterFunc(ctx, c.close)()
	if !l.greet(ctx, c, newest) {
		return
	}
	c.giveTurn()
	l.greeted()
	c.awaitEnd()
}

// refuse says why the peer may not connect, or "".
func (l *Listener) refuse(conn *net.UnixConn) string {
	peer, err := localsocket.PeerOf(conn)
	if err != nil {
		return "it can't be told who connects"
	}
	if peer.UID == 0 || peer.UID == uint32(os.Geteuid()) || slices.Contains(l.cfg.AllowUIDs, int(peer.UID)) {
		return ""
	}
	return fmt.Sprintf("user %d may not connect: add the number to allow_uids", peer.UID)
}

func (l *Listener) enter(c *consumer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.consumers) >= l.cfg.MaxConsumers {
		return false
	}
	l.consumers[c] = struct{}{}
	close(l.came)
	l.came = make(chan struct{})
	return true
}

func (l *Listener) leave(c *consumer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.consumers, c)
}

// lineTime is how long a consumer may take for each line of its greeting, on
// average and beyond the timeout. There may be very many, so that a whole
// greeting has no fixed time; but until it has ended the consumer holds up what
// is delivered.
const lineTime = 10 * time.Millisecond

// greet writes the newest token of every account. The caller has the turn.
func (l *Listener) greet(ctx context.Context, c *consumer, newest func(context.Context) iter.Seq2[sink.Delivery, error]) bool {
	deadline := time.Now().Add(l.cfg.Timeout)
	for d, err := range newest(ctx) {
		if err != nil {
			c.farewell("the tokens can't be read just now: connect again")
			return false
		}
		line, err := l.line(d)
		if err != nil {
			continue // Deliver reports it
		}
		if err := c.write(ctx, line, deadline); err != nil {
			return false
		}
		deadline = deadline.Add(lineTime)
	}
	return true
}
