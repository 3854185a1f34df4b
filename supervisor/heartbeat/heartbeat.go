// Package heartbeat gives a sign of life to a service elsewhere, at regular moments and
// only while all is well. So that service misses it, and tells people, when the
// supervisor is dead, stuck or cut off, of which nobody here could tell.
package heartbeat

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/webclient"
)

const (
	// firstAfter is how long is waited, once the supervisor is ready, before the first
	// ping: what has expired while nobody kept it is refreshed until then.
	firstAfter = 15 * time.Second
	// sooner is the part of an interval after which is tried again what was no ping, but
	// not before soonest: the services limit how often they may be asked.
	sooner  = 4
	soonest = 15 * time.Second
)

// Client makes requests to the service, see [webclient.Client].
type Client interface {
	Do(req *http.Request) (*http.Response, error)
}

// With is what a Heartbeat needs of the supervisor.
type With struct {
	// Ready closes when the supervisor is ready. Nothing is sent before.
	Ready func() <-chan struct{}
	// Trouble is what is wrong, in words without a secret; "": all is well.
	Trouble func(ctx context.Context) string
	Now     func() time.Time
	Log     *slog.Logger
	// Client; nil: the one that the configuration describes.
	Client Client
}

// Heartbeat is a member of the root group.
type Heartbeat struct {
	cfg    config.Heartbeat
	with   With
	well   *url.URL
	failed *url.URL // where a failure is told; nil: nowhere

	mu     sync.Mutex
	status Status
}

// New sends nothing yet.
func New(cfg config.Heartbeat, with With) (*Heartbeat, error) {
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil || u.Host == "" {
		return nil, errors.New("heartbeat.url is not an address; write it like https://hc-ping.com/…") // err would quote it
	}
	if with.Client == nil {
		if with.Client, err = webclient.New(webclient.Config{CAFile: cfg.CAFile, Proxy: cfg.Proxy, Timeout: cfg.Timeout}); err != nil {
			return nil, err
		}
	}
	h := &Heartbeat{cfg: cfg, with: with, well: u, status: Status{To: u.Host, Every: cfg.Every}}
	if cfg.OnFailure == config.FailTold {
		h.failed = u.JoinPath("fail")
	}
	return h, nil
}

// Run pings until ctx ends.
func (h *Heartbeat) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.with.Ready():
	}
	next := time.NewTimer(min(firstAfter, h.cfg.Every))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		began := time.Now()
		pause := h.look(ctx)
		next.Reset(max(pause-time.Since(began), 0))
	}
}

// look sees whether all is well, and tells the service. It returns how long after its beginning the
// next one comes.
func (h *Heartbeat) look(ctx context.Context) (pause time.Duration) {
	trouble := h.with.Trouble(ctx)
	if ctx.Err() != nil {
		return h.cfg.Every
	}
	h.looked(trouble)
	if trouble == "" || h.failed != nil {
		err := h.tell(ctx, trouble)
		if ctx.Err() != nil { // the stop has cut it off
			return h.cfg.Every
		}
		h.told(trouble == "", err)
		if trouble == "" && err == nil {
			return h.cfg.Every
		}
	}
	return min(h.cfg.Every, max(h.cfg.Every/sooner, soonest))
}
