package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Client calls the control API: what concerns the supervisor as a whole, and by its
// parts what concerns an account, a login, a sink or an alert. A call that the
// supervisor refuses returns an [*Error]; if there is no supervisor, the error is
// [ErrNotRunning].
type Client struct {
	*line
	AccountCalls
	LoginCalls
	PauseCalls
	SinkCalls
	AlertCalls
}

// NewClient returns a client of the supervisor that listens on socket. It does
// not connect yet.
func NewClient(socket string) *Client {
	l := newLine(socket)
	return &Client{l, AccountCalls{l}, LoginCalls{l}, PauseCalls{l}, SinkCalls{l}, AlertCalls{l}}
}

// Version asks who answers.
func (c *Client) Version(ctx context.Context) (VersionAnswer, error) {
	return call[VersionAnswer](ctx, c.line, lookTimeout, http.MethodGet, "/v1/version", nil, nil)
}

// Status asks how everything is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c.line, lookTimeout, http.MethodGet, "/v1/status", nil, nil)
}

// ConfigDifference asks what the configuration's file says otherwise than what runs.
func (c *Client) ConfigDifference(ctx context.Context) (ConfigDifference, error) {
	return call[ConfigDifference](ctx, c.line, workTimeout, http.MethodGet, "/v1/config/difference", nil, nil)
}

// Adopt makes the store this machine's.
func (c *Client) Adopt(ctx context.Context) (AdoptAnswer, error) {
	return call[AdoptAnswer](ctx, c.line, lookTimeout, http.MethodPost, "/v1/adopt", nil, nil)
}

// Reload has the supervisor go on with what the configuration's file says by now.
func (c *Client) Reload(ctx context.Context) (ReloadAnswer, error) {
	return call[ReloadAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/config/reload", nil, nil)
}

// Restart replaces the provider's process and waits for the new one.
func (c *Client) Restart(ctx context.Context, provider string) (RestartAnswer, error) {
	return call[RestartAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/providers/"+url.PathEscape(provider)+"/restart", nil, nil)
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
