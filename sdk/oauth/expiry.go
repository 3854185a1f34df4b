package oauth

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// accessLifetime looks for the access token's life in this order: its lifetime,
// the moment of its death, the JWT that it is.
func (e Endpoint) accessLifetime(a answer, f fields) (life time.Duration, uncertain bool) {
	life, uncertain = lifetime(e.Answers.scaled(f["expires_in"]), e.DefaultLifetime)
	if !uncertain {
		return life, false
	}
	if e.Answers.ExpiresAt != "" {
		if at, ok := moment(f.at(e.Answers.ExpiresAt), e.Answers.Zone); ok {
			return a.until(at), false
		}
	}
	if e.Answers.JWT {
		if at, ok := expiryOfJWT(f.text("access_token")); ok {
			return a.until(at), false
		}
	}
	return life, true
}

// refreshTokenLifetime likewise; 0: the server does not say. A refresh token that
// is dead by its own word lives a moment more: the server has the last one.
func (e Endpoint) refreshTokenLifetime(a answer, f fields) time.Duration {
	life := refreshLifetime(e.Answers.scaled(f["refresh_token_expires_in"]))
	if life == 0 && e.Answers.JWT {
		if at, ok := expiryOfJWT(f.text("refresh_token")); ok {
			return max(a.until(at), 1)
		}
	}
	return life
}

// until is how long it is from the answer to a moment by the server's clock,
// which its Date tells, so that a wrong clock of this machine changes nothing.
// Never zero, which would mean that nobody knows.
func (a answer) until(at time.Time) time.Duration {
	now := a.Received
	if date, err := http.ParseTime(a.Date); err == nil {
		now = date
	}
	life := min(max(at.Sub(now), -maxLifetime), maxLifetime)
	if life == 0 {
		return -1
	}
	return life
}

// scaled is a lifetime in seconds.
func (w Answers) scaled(raw json.RawMessage) json.RawMessage {
	if w.Unit <= 0 || w.Unit == time.Second {
		return raw
	}
	s, ok := seconds(raw)
	if s *= w.Unit.Seconds(); !ok || math.IsInf(s, 0) {
		return raw
	}
	return strconv.AppendFloat(nil, s, 'g', -1, 64)
}

// unzoned are the forms of a moment that names no zone.
var unzoned = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"}

// manyMillis is where a number since 1970 stops being seconds: they reach it in
// the year 5138, milliseconds passed it in 1973.
const manyMillis = 1e11

// moment reads a time as [Answers.ExpiresAt] describes it.
func moment(raw json.RawMessage, zone *time.Location) (time.Time, bool) {
	text := strings.TrimSpace(fields{"": raw}.text(""))
	if zone == nil {
		zone = time.UTC
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, true
	}
	for _, layout := range unzoned {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return sinceEpoch(text)
}

func sinceEpoch(text string) (time.Time, bool) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return time.Time{}, false
	}
	if n > manyMillis {
		n /= 1000
	}
	if n > manyMillis {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(n * 1000)).UTC(), true
}

// expiryOfJWT reads the claim exp of a token that is a signed JWT (RFC 7519).
func expiryOfJWT(token string) (time.Time, bool) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, signed := strings.Cut(rest, ".")
	if !signed {
		return time.Time{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	var claims fields
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return time.Time{}, false
	}
	return sinceEpoch(claims.text("exp"))
}
