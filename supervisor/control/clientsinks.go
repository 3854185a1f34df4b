package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// SinkCalls are those about sinks.
type SinkCalls struct{ line *line }

// Sinks asks how every sink does.
func (c SinkCalls) Sinks(ctx context.Context) (Sinks, error) {
	return call[Sinks](ctx, c.line, lookTimeout, http.MethodGet, "/v1/sinks", nil, nil)
}

// TestSink shows whether the sink works.
func (c SinkCalls) TestSink(ctx context.Context, sink string) (SinkTestAnswer, error) {
	return sinkCall[SinkTestAnswer](ctx, c.line, workTimeout, sink, "test", nil)
}

// Redeliver has the newest token of the account, of all if it is "", delivered
// once more; with force also over a token that nobody here knows. It does not
// wait for it.
func (c SinkCalls) Redeliver(ctx context.Context, sink, account string, force bool) (RedeliverAnswer, error) {
	query := url.Values{}
	if account != "" {
		query.Set("account", account)
	}
	if force {
		query.Set("force", "true")
	}
	return sinkCall[RedeliverAnswer](ctx, c.line, lookTimeout, sink, "redeliver", query)
}

// DisableSink keeps everything from the sink until it is enabled again, or the
// supervisor's next start.
func (c SinkCalls) DisableSink(ctx context.Context, sink string) (Sink, error) {
	return sinkCall[Sink](ctx, c.line, lookTimeout, sink, "disable", nil)
}

// EnableSink ends that, and brings the sink what it missed.
func (c SinkCalls) EnableSink(ctx context.Context, sink string) (Sink, error) {
	return sinkCall[Sink](ctx, c.line, lookTimeout, sink, "enable", nil)
}

// RestartSink replaces the process of a sink that is a plugin and waits for
// the new one.
func (c SinkCalls) RestartSink(ctx context.Context, sink string) (SinkRestartAnswer, error) {
	return sinkCall[SinkRestartAnswer](ctx, c.line, workTimeout, sink, "restart", nil)
}

func sinkCall[T any](ctx context.Context, l *line, timeout time.Duration, sink, verb string, query url.Values) (T, error) {
	return call[T](ctx, l, timeout, http.MethodPost, "/v1/sinks/"+url.PathEscape(sink)+"/"+verb, query, nil)
}

// AlertCalls are those about alerts.
type AlertCalls struct{ line *line }

// Alerts asks which alerts last, and which are over since lately.
func (c AlertCalls) Alerts(ctx context.Context) (Alerts, error) {
	return call[Alerts](ctx, c.line, lookTimeout, http.MethodGet, "/v1/alerts", nil, nil)
}

// AcknowledgeAlert keeps an alert from being repeated.
func (c AlertCalls) AcknowledgeAlert(ctx context.Context, key string) (event.Alert, error) {
	return c.put(ctx, key, "acknowledge", nil)
}

// SilenceAlert keeps all but an alert's end from being told for so long.
func (c AlertCalls) SilenceAlert(ctx context.Context, key string, during time.Duration) (event.Alert, error) {
	return c.put(ctx, key, "silence", url.Values{"for": {during.String()}})
}

// ResumeAlert takes both back.
func (c AlertCalls) ResumeAlert(ctx context.Context, key string) (event.Alert, error) {
	return c.put(ctx, key, "resume", nil)
}

func (c AlertCalls) put(ctx context.Context, key, verb string, query url.Values) (event.Alert, error) {
	return call[event.Alert](ctx, c.line, workTimeout, http.MethodPost, "/v1/alerts/"+url.PathEscape(key)+"/"+verb, query, nil)
}
