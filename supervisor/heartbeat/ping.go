package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// lastWords are so many bytes of an answer that are read.
const lastWords = 4 << 10

// tell makes one request: a ping, or one that tells of trouble. No error of it has
// anything of the address, or of the answer.
func (h *Heartbeat) tell(ctx context.Context, trouble string) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	req, err := h.request(ctx, trouble)
	if err != nil {
		return errors.New("the request can't be made: check heartbeat.url") // err would quote it
	}
	req.Header.Set("User-Agent", "tokenkeeper")
	resp, err := h.with.Client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, lastWords))
	if err != nil {
		return errors.New("the service's answer was cut off")
	}
	return judge(resp.StatusCode, string(body))
}

// request is a GET, which each of these services takes, or to tell of trouble a POST
// with the reason.
func (h *Heartbeat) request(ctx context.Context, trouble string) (*http.Request, error) {
	if trouble == "" {
		return http.NewRequestWithContext(ctx, http.MethodGet, h.well.String(), nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.failed.String(), strings.NewReader(trouble+"\n"))
	if err == nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return req, err
}

// judge says whether the service has taken it.
func judge(status int, body string) error {
	err := fmt.Errorf("the service answered %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status <= 299:
		return unheard(strings.TrimSpace(body))
	case status >= 300 && status <= 399:
		return fmt.Errorf("%w: redirects are not followed; set heartbeat.url to where it leads", err)
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusMethodNotAllowed, status == http.StatusBadRequest:
		return fmt.Errorf("%w: check heartbeat.url, and whether the service still has this check", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: check heartbeat.url", err)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: write a longer heartbeat.every", err)
	}
	return err
}

// unheard finds the answers by which healthchecks.io says in a 200 that a ping did not
// count (https://healthchecks.io/docs/http_api/).
func unheard(body string) error {
	switch body {
	case "OK (not found)":
		return errors.New("the service does not know this address: check heartbeat.url, and whether the service still has this check")
	case "OK (rate limited)":
		return errors.New("the service does not count pings that come so often: write a longer heartbeat.every")
	}
	return nil
}
