package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// judge sorts an answer by its status. Nothing of its headers or body gets
// into an error: a receiver may send back what it got.
func (s *Sink) judge(resp *http.Response) error {
	status := resp.StatusCode
	err := fmt.Errorf("the receiver answered %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status >= 300 && status <= 399:
		return fmt.Errorf("%w: redirects are not followed; set url to where it leads", err)
	case status == http.StatusGone:
		return fmt.Errorf("%w: %w", err, sink.ErrGone)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		err = fmt.Errorf("%w: check the secret, the headers and the receiver's clock", err)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		err = fmt.Errorf("%w: check the url", err)
	}
	if after, ok := retryAfter(resp.Header.Get("Retry-After"), s.cfg.Now()); ok && (status == http.StatusTooManyRequests || status >= 500) {
		return &sink.RetryAfterError{After: after, Err: err}
	}
	return err
}

// retryAfter reads the header, seconds or a date (RFC 9110, section 10.2.3).
// ok is false if it asks for no pause. The worker bounds the pause.
func retryAfter(header string, now time.Time) (after time.Duration, ok bool) {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, seconds > 0
	}
	at, err := http.ParseTime(header)
	if err != nil || !at.After(now) {
		return 0, false
	}
	return at.Sub(now), true
}
