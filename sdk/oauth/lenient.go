package oauth

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxLifetime clamps what a server may promise.
	maxLifetime = 366 * 24 * time.Hour
	// maxRetryAfter clamps how long a server may ask to be left alone: some
	// refresh tokens live no longer.
	maxRetryAfter = time.Hour
)

// lifetime reads expires_in: seconds as a number or a string, whole or not.
// Missing, unreadable or zero, it is def, which is uncertain and may be 0:
// nobody knows. Negative, which
// Saxo sends when a code was exchanged late, it stays: the token was dead before
// it came.
func lifetime(raw json.RawMessage, def time.Duration) (life time.Duration, uncertain bool) {
	s, ok := seconds(raw)
	switch {
	case !ok || s == 0:
		return max(def, 0), true
	case s < 0:
		return -clamp(-s), false
	}
	return clamp(s), false
}

// refreshLifetime reads refresh_token_expires_in; 0: the server does not say.
func refreshLifetime(raw json.RawMessage) time.Duration {
	s, ok := seconds(raw)
	if !ok || s <= 0 {
		return 0
	}
	return clamp(s)
}

func clamp(s float64) time.Duration {
	if s >= maxLifetime.Seconds() {
		return maxLifetime
	}
	return max(time.Duration(s*float64(time.Second)), 1)
}

func seconds(raw json.RawMessage) (float64, bool) {
	text := strings.Trim(fields{"": raw}.text(""), " ")
	s, err := strconv.ParseFloat(text, 64)
	if math.IsNaN(s) || err != nil && !math.IsInf(s, 0) {
		return 0, false
	}
	return s, true
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3). A date is
// counted from the server's own Date if it sent one.
func retryAfter(header, date string, received time.Time) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	var wait time.Duration
	if s, err := strconv.ParseUint(header, 10, 64); err == nil {
		wait = time.Duration(min(s, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		now, err := http.ParseTime(date)
		if err != nil {
			now = received
		}
		wait = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(wait, 0), maxRetryAfter), true
}
