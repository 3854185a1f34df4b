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
	"strconv"
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

// Client calls the control API. A call that the supervisor refuses returns an
// [*Error]; if there is no supervisor, the error is [ErrNotRunning].
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the supervisor that listens on socket. It does
// not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := localsocket.Dial(ctx, socket, nil)
		return conn, stranger(err)
	}
	return &Client{socket: socket, http: &http.Client{
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
func (c *Client) Socket() string { return c.socket }

// Close drops the connection that is kept between calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Version asks who answers.
func (c *Client) Version(ctx context.Context) (VersionAnswer, error) {
	return call[VersionAnswer](ctx, c, lookTimeout, http.MethodGet, "/v1/version", nil, nil)
}

// Status asks how everything is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, lookTimeout, http.MethodGet, "/v1/status", nil, nil)
}

// Adopt makes the store this machine's.
func (c *Client) Adopt(ctx context.Context) (AdoptAnswer, error) {
	return call[AdoptAnswer](ctx, c, lookTimeout, http.MethodPost, "/v1/adopt", nil, nil)
}

// Restart replaces the provider's process and waits for the new one.
func (c *Client) Restart(ctx context.Context, provider string) (RestartAnswer, error) {
	return call[RestartAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/providers/"+url.PathEscape(provider)+"/restart", nil, nil)
}

// Refresh refreshes the account if it is due, or in any case with force.
func (c *Client) Refresh(ctx context.Context, account string, force bool) (RefreshAnswer, error) {
	query := url.Values{"force": {strconv.FormatBool(force)}}
	return call[RefreshAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/refresh", query, nil)
}

// Token returns the account's newest access token, even if it has expired.
func (c *Client) Token(ctx context.Context, account string) (TokenAnswer, error) {
	return call[TokenAnswer](ctx, c, lookTimeout, http.MethodGet, "/v1/accounts/"+url.PathEscape(account)+"/token", nil, nil)
}

// Import hands over a token file.
func (c *Client) Import(ctx context.Context, req ImportRequest) (ImportAnswer, error) {
	query := url.Values{"force": {strconv.FormatBool(req.Force)}}
	if req.Format != "" {
		query.Set("format", req.Format)
	}
	if req.Attempt != "" {
		query.Set("attempt", req.Attempt)
	}
	if req.Since != nil {
		query.Set("since", strconv.FormatUint(*req.Since, 10))
	}
	if !req.WrittenAt.IsZero() {
		query.Set("written_at", req.WrittenAt.UTC().Format(time.RFC3339))
	}
	if !req.LoginAt.IsZero() {
		query.Set("login_at", req.LoginAt.Format(time.RFC3339))
	}
	return call[ImportAnswer](ctx, c, lookTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(req.Account)+"/import", query, req.Body)
}

// Login returns the login of the account that is open, or begins one of the shape ("":
// the usual one), with the address for the
// person, or begins one.
func (c *Client) Login(ctx context.Context, account, shape string) (LoginAnswer, error) {
	query := url.Values{}
	if shape != "" {
		query.Set("shape", shape)
	}
	return call[LoginAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login", query, nil)
}

// AwaitLogin waits for the end of a login, a minute at most.
func (c *Client) AwaitLogin(ctx context.Context, account, id string) (AwaitedAnswer, error) {
	return call[AwaitedAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/wait", url.Values{"id": {id}}, nil)
}

// CancelLogin ends the login that is open.
func (c *Client) CancelLogin(ctx context.Context, account string) (CancelledAnswer, error) {
	return call[CancelledAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/cancel", nil, nil)
}

// CompleteLogin hands over the address that the broker sent the browser to, or what
// else it gave the person.
func (c *Client) CompleteLogin(ctx context.Context, account, redirected string) (LoggedInAnswer, error) {
	return call[LoggedInAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/complete", nil, []byte(redirected))
}

// ConfirmLogin puts a login of another person in the place of the account's.
func (c *Client) ConfirmLogin(ctx context.Context, account string) (LoggedInAnswer, error) {
	return call[LoggedInAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/confirm", nil, nil)
}

// DiscardLogin forgets it.
func (c *Client) DiscardLogin(ctx context.Context, account string) (DiscardedAnswer, error) {
	return call[DiscardedAnswer](ctx, c, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/discard", nil, nil)
}

// Events calls each for every event from now on, in order, until ctx ends or
// each returns an error, which Events then returns. started, if not nil, is
// called once no later event can be missed. A gap in Seq means that this
// reader was too slow. If the supervisor ends, so does Events, with
// [io.ErrUnexpectedEOF] or [ErrNotRunning].
func (c *Client) Events(ctx context.Context, started func(), each func(event.Event) error) error {
	return c.follow(ctx, nil, started, each)
}

// EventsAudited is Events with those of type [event.Audit], whose Seq counts by
// itself.
func (c *Client) EventsAudited(ctx context.Context, started func(), each func(event.Event) error) error {
	return c.follow(ctx, url.Values{"audit": {"true"}}, started, each)
}

func (c *Client) follow(ctx context.Context, query url.Values, started func(), each func(event.Event) error) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", query, nil)
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
			return &endedError{"the supervisor on " + c.socket + " ended, and so did the stream of events: follow it again once one runs", io.ErrUnexpectedEOF}
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// call makes one call and decodes its answer.
func call[T any](ctx context.Context, c *Client, timeout time.Duration, method, path string, query url.Values, body []byte) (T, error) {
	var got T
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("the supervisor on %s did not answer within %s: look at its log", c.socket, timeout))
	defer cancel()
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return got, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&got); err != nil {
		err = c.explain(ctx, err)
		if ended := (*endedError)(nil); errors.As(err, &ended) || ctx.Err() != nil {
			return got, err
		}
		return got, fmt.Errorf("the answer of the supervisor on %s can't be read: %w", c.socket, err)
	}
	return got, nil
}

// do sends one request and returns an answer of status 200. The caller closes
// its body.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://tokenkeeper"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	failed := &Error{Status: resp.StatusCode}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(failed); err != nil || failed.Message == "" {
		return nil, fmt.Errorf("%s answered %s: it seems to be no Tokenkeeper supervisor", c.socket, resp.Status)
	}
	return nil, failed
}

// explain says what a failed connection means.
func (c *Client) explain(ctx context.Context, err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // without the made-up address
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s: start it with \"tokenkeeper run\", or name another socket with --socket", ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %d may not use %s: only the user who runs the supervisor, and root, may", os.Geteuid(), c.socket)
	case errors.Is(err, syscall.EINVAL) && len(c.socket) > localsocket.MaxPath:
		return fmt.Errorf("the control socket's path %s is longer than the %d bytes that a Unix socket's can have", c.socket, localsocket.MaxPath)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &endedError{"the supervisor on " + c.socket + " ended while it worked on this: start it again, unless that happens by itself; " +
			"what was under way is settled then, and \"tokenkeeper status\" shows the outcome", err}
	case strings.Contains(err.Error(), "malformed"): // net/http has no type for it
		return &endedError{"what answers on " + c.socket + " is no Tokenkeeper supervisor, or one that ended in the middle of its answer: " +
			"\"tokenkeeper status\" tells which", err}
	}
	return fmt.Errorf("calling the supervisor on %s: %w", c.socket, err)
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
