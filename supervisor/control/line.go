package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

const (
	// lookTimeout is for calls that only look.
	lookTimeout = 10 * time.Second
	// workTimeout is for calls that wait for a broker or a process.
	workTimeout = callTimeout + 5*time.Second
	maxAnswer   = 64 << 20
)

// ErrNotRunning: nobody listens on the control socket.
var ErrNotRunning = errors.New("no supervisor is running")

// line is how a client reaches the supervisor.
type line struct {
	socket string
	http   *http.Client
}

func newLine(socket string) *line {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := localsocket.Dial(ctx, socket, nil)
		return conn, stranger(err)
	}
	return &line{socket: socket, http: &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConns: 1, IdleConnTimeout: idleTimeout / 2},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// stranger says what to do about somebody who has opened a socket there first, or
// has made a link that leads elsewhere: he would get what is imported, and hand out
// tokens of his own.
func stranger(err error) error {
	var peer *trust.PeerRefusal
	var link *trust.Refusal
	switch {
	case errors.As(err, &peer):
		return fmt.Errorf("%w: end that process, or name the right socket with --socket", err)
	case errors.As(err, &link):
		return fmt.Errorf("the control socket %w, with --socket", err)
	}
	return err
}

// Socket is the path that the client connects to.
func (l *line) Socket() string { return l.socket }

// Close drops the connection that is kept between calls.
func (l *line) Close() { l.http.CloseIdleConnections() }

// follow reads the stream of events; see [Client.Events].
func (l *line) follow(ctx context.Context, query url.Values, started func(), each func(event.Event) error) error {
	resp, err := l.do(ctx, http.MethodGet, "/v1/events", query, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if started != nil {
		started()
	}
	dec := json.NewDecoder(resp.Body)
	for {
		var e event.Event
		if err := dec.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &endedError{"the supervisor on " + l.socket + " ended, and so did the stream of events: follow it again once one runs", io.ErrUnexpectedEOF}
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// call makes one call and decodes its answer.
func call[T any](ctx context.Context, l *line, timeout time.Duration, method, path string, query url.Values, body []byte) (T, error) {
	var got T
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("the supervisor on %s did not answer within %s: look at its log", l.socket, timeout))
	defer cancel()
	resp, err := l.do(ctx, method, path, query, body)
	if err != nil {
		return got, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&got); err != nil {
		err = l.explain(ctx, err)
		if ended := (*endedError)(nil); errors.As(err, &ended) || ctx.Err() != nil {
			return got, err
		}
		return got, fmt.Errorf("the answer of the supervisor on %s can't be read: %w", l.socket, err)
	}
	return got, nil
}

// do sends one request and returns an answer of status 200. The caller closes
// its body.
func (l *line) do(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://tokenkeeper"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, l.explain(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	failed := &Error{Status: resp.StatusCode}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(failed); err != nil || failed.Message == "" {
		return nil, fmt.Errorf("%s answered %s: it seems to be no Tokenkeeper supervisor", l.socket, resp.Status)
	}
	return nil, failed
}

// explain says what a failed connection means.
func (l *line) explain(ctx context.Context, err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err // without the made-up address
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s: start it with \"tokenkeeper run\", or name another socket with --socket", ErrNotRunning, l.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %d may not use %s: only the user who runs the supervisor, root, and the readers that control.readers in its configuration names may, "+
			"who need a socket in a folder that they can get into", os.Geteuid(), l.socket)
	case errors.Is(err, syscall.EINVAL) && len(l.socket) > localsocket.MaxPath:
		return fmt.Errorf("the control socket's path %s is longer than the %d bytes that a Unix socket's can have", l.socket, localsocket.MaxPath)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &endedError{"the supervisor on " + l.socket + " ended while it worked on this: start it again, unless that happens by itself; " +
			"what was under way is settled then, and \"tokenkeeper status\" shows the outcome", err}
	case strings.Contains(err.Error(), "malformed"): // net/http has no type for it
		return &endedError{"what answers on " + l.socket + " is no Tokenkeeper supervisor, or one that ended in the middle of its answer: " +
			"\"tokenkeeper status\" tells which", err}
	}
	return fmt.Errorf("calling the supervisor on %s: %w", l.socket, err)
}

// Ended says whether the supervisor ended before it had answered.
func Ended(err error) bool {
	var ended *endedError
	return errors.As(err, &ended)
}

// endedError: the supervisor ended before it had answered. It is the connection's
// error, and reads without the words of that.
type endedError struct {
	text string
	why  error
}

func (e *endedError) Error() string { return e.text }

func (e *endedError) Unwrap() error { return e.why }
