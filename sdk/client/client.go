// Package client is for programs that use the tokens: it reads an account's
// access token from a running supervisor, watches for the next one and waits
// until there is one with life left in it.
//
//	c := client.New("/var/lib/tokenkeeper/control.sock")
//	defer c.Close()
//	broker := &http.Client{Transport: c.Transport("schwab-main", nil)}
//
// It speaks the control API over the Unix socket and imports nothing of the
// supervisor, nor gRPC. The program must run as the supervisor's user, as root, or as
// a reader of its accounts (control.readers in the supervisor's configuration); for
// others there are sinks.
package client

import (
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
)

const (
	// defaultTimeout is for calls that only look at what is in memory.
	defaultTimeout = 10 * time.Second
	// workTimeout is for calls that wait for a broker: more than the 90 s after which the
	// supervisor gives such a call up.
	workTimeout = 95 * time.Second
	// idleTimeout is less than the server's 30 s, so that no call goes out on
	// a connection that is just being closed.
	idleTimeout = 15 * time.Second
	// maxAnswer is more than the status of 10,000 accounts takes.
	maxAnswer = 64 << 20
	maxError  = 64 << 10
)

// Client asks one supervisor. It is safe for concurrent use.
type Client struct {
	socket  string
	timeout time.Duration
	users   []string // who may run the supervisor beside root and us
	dial    func(context.Context) (net.Conn, error)
	http    *http.Client
	// after401: a token that the broker's API refuses is replaced.
	after401 bool
	// patient is http for calls that wait for a broker.
	patient *http.Client
}

// Option changes a [Client].
type Option func(*Client)

// WithTimeout bounds each call to the supervisor; default 10 s. It does not
// bound WaitValid and Watch, which go on as long as their context does, nor
// UsableToken and NewerToken, which wait for the broker.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithUsers also takes a supervisor that one of these users runs, by name or
// number, wherever its socket is. Without, it must be run by root, by the user of
// this process, or by the owner of the socket's folder, if nobody else can write
// there. A name that the machine does not know is nobody.
func WithUsers(users ...string) Option {
	return func(c *Client) { c.users = append(c.users, users...) }
}

// WithNewerAfter401 lets a [Client.Transport] whose newest token the broker's API refuses
// ask for a newer one (see [Client.NewerToken]). The request then waits for the broker.
// It is for APIs that answer 401 for a token alone.
func WithNewerAfter401() Option { return func(c *Client) { c.after401 = true } }

// WithDial connects otherwise than by the socket's path, which errors then
// only name.
func WithDial(dial func(context.Context) (net.Conn, error)) Option {
	return func(c *Client) { c.dial = dial }
}

// New returns a client of the supervisor that listens on socket: control.sock
// in its state directory, or what control.socket in its configuration says. It
// does not connect yet, and the supervisor need not run yet.
func New(socket string, opts ...Option) *Client {
	c := &Client{socket: socket, timeout: defaultTimeout}
	c.dial = func(ctx context.Context) (net.Conn, error) { return dial(ctx, socket, c.users) }
	for _, opt := range opts {
		opt(c)
	}
	c.http, c.patient = c.answeredWithin(c.timeout), c.answeredWithin(workTimeout)
	return c
}

// answeredWithin is for calls that are answered within so long.
func (c *Client) answeredWithin(d time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
			DisableCompression:    true,
			MaxIdleConnsPerHost:   4,
			IdleConnTimeout:       idleTimeout,
			ResponseHeaderTimeout: d,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close drops the connections that are kept between calls. The client can
// still be used.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.patient.CloseIdleConnections()
}

// Token returns the account's newest access token as it is, also if it has
// expired: [Token.ValidFor] tells. The error is, or wraps, one of this
// package's, or says what else is wrong.
func (c *Client) Token(ctx context.Context, account string) (Token, error) {
	return c.token(ctx, account, nil)
}

// token asks for the account's token: as it is, or with a wish for one that meets it.
func (c *Client) token(ctx context.Context, account string, wish url.Values) (Token, error) {
	// In a path these mean another place.
	if account == "" || account == "." || account == ".." {
		return Token{}, fmt.Errorf("account %q: %w", account, ErrNoAccount)
	}
	call := request{c.http, c.timeout, http.MethodGet, "/v1/accounts/" + url.PathEscape(account) + "/token"}
	if wish != nil {
		call = request{c.patient, workTimeout, http.MethodPost, call.path + "?" + wish.Encode()}
	}
	var tok Token
	err := c.ask(ctx, call, &tok)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return Token{}, refused.of(account)
	case err != nil:
		return Token{}, fmt.Errorf("account %s: %w", account, err)
	case tok.AccessToken.Reveal() == "" || tok.Version == 0:
		return Token{}, fmt.Errorf("account %s: the answer on %s holds no token: is it Tokenkeeper's control socket?", account, c.socket)
	}
	return tok, nil
}

// request is a call to the supervisor, and within how long it is answered.
type request struct {
	by           *http.Client
	within       time.Duration
	method, path string
}

// ask makes one call and decodes its answer.
func (c *Client) ask(ctx context.Context, call request, answer any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, call.within, c.silent(call.within))
	defer cancel()
	body, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(answer); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Not the cause: a decoder's error may repeat a part of what it read.
		return fmt.Errorf("the answer of the supervisor on %s to %s %s is cut off or no JSON: ask again; if it lasts, this client and the supervisor do not fit together", c.socket, call.method, call.path)
	}
	return nil
}

// send makes one call and returns the body of an answer of status 200.
func (c *Client) send(ctx context.Context, call request) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, call.method, "http://tokenkeeper"+call.path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := call.by.Do(req)
	if err != nil {
		return nil, c.explain(ctx, call.within, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	refused := &refusal{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxError)).Decode(refused); err != nil || refused.Message == "" {
		return nil, fmt.Errorf("%s answered %s: it seems to be no Tokenkeeper supervisor", c.socket, resp.Status)
	}
	if refused.Code == "forbidden" {
		return nil, fmt.Errorf("%w: %s", ErrForbidden, refused.Message)
	}
	return nil, refused
}

// refusal is the body of an answer that is not 200.
type refusal struct {
	Code    string    `json:"code"`
	Message string    `json:"error"`
	RetryAt time.Time `json:"retry_at"`
}

func (r *refusal) Error() string { return r.Message }

// of is what it says of an account.
func (r *refusal) of(account string) error {
	kind, known := map[string]error{
		"not_found": ErrNoAccount, "no_token": ErrNoToken, "needs_login": ErrNeedsLogin, "needs_person": ErrNeedsLogin, "paused": ErrPaused, "short_lived": ErrExpired,
	}[r.Code]
	switch {
	case r.Code == "not_yet":
		return &NotYet{Until: r.RetryAt, text: r.Message}
	case known:
		return fmt.Errorf("account %s: %w: %s", account, kind, r.Message)
	}
	return fmt.Errorf("account %s: %w", account, r)
}

// explain says what a failed connection means.
func (c *Client) explain(ctx context.Context, within time.Duration, err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err // without the made-up address
	}
	var slow net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s: start it with \"tokenkeeper run\", or give the path that control.socket names", ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: user %d may not use %s: name the user in control.readers, in a configuration whose control.socket is in a folder that he can get into, run as the supervisor's user, or give this program a sink", ErrForbidden, os.Geteuid(), c.socket)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &slow) && slow.Timeout():
		return c.silent(within)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &endedError{"the supervisor on " + c.socket + " ended before it had answered: ask again once it runs", err}
	case strings.Contains(err.Error(), "malformed"): // net/http has no type for it
		return &endedError{"what answers on " + c.socket + " is no Tokenkeeper supervisor, or one that ended in the middle of its answer: ask again", err}
	}
	return fmt.Errorf("calling the supervisor on %s: %w", c.socket, err)
}

// silent says that no answer came in time.
func (c *Client) silent(within time.Duration) error {
	return fmt.Errorf("the supervisor on %s did not answer within %s: look at its log: %w", c.socket, within, context.DeadlineExceeded)
}

// endedError is the error of a connection that the other end closed, and reads
// without the words of that.
type endedError struct {
	text string
	why  error
}

func (e *endedError) Error() string { return e.text }

func (e *endedError) Unwrap() error { return e.why }
