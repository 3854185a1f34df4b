package oauth

import (
	"encoding/json"
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const def = 20 * time.Minute
	tests := map[string]time.Duration{
		``:                    def,
		`null`:                def,
		`1800`:                30 * time.Minute,
		`"1800"`:              30 * time.Minute,
		`" 1800 "`:            30 * time.Minute,
		`1799.5`:              1799*time.Second + 500*time.Millisecond,
		`"1799.5"`:            1799*time.Second + 500*time.Millisecond,
		`1.8e3`:               30 * time.Minute,
		`0`:                   def,
		`"0"`:                 def,
		`-5`:                  -5 * time.Second,
		`"-5"`:                -5 * time.Second,
		`-1e999`:              -maxLifetime,
		`-1e-300`:             -1,
		`1e999`:               maxLifetime,
		`1e12`:                maxLifetime,
		`9223372036854775807`: maxLifetime,
		`1e-300`:              1,
		`""`:                  def,
		`"soon"`:              def,
		`"NaN"`:               def,
		`true`:                def,
		`[]`:                  def,
		`{"s":1}`:             def,
	}
	for raw, want := range tests {
		got, uncertain := lifetime(json.RawMessage(raw), def)
		if got != want || uncertain != (want == def) {
			t.Errorf("expires_in %s: %s (uncertain %t), want %s", raw, got, uncertain, want)
		}
	}
	if got, uncertain := lifetime(nil, 0); got != 0 || !uncertain {
		t.Errorf("without any default: %s (uncertain %t)", got, uncertain)
	}
	for raw, want := range map[string]time.Duration{``: 0, `0`: 0, `-1`: 0, `3600`: time.Hour, `"2400"`: 40 * time.Minute, `"x"`: 0} {
		if got := refreshLifetime(json.RawMessage(raw)); got != want {
			t.Errorf("refresh_token_expires_in %s: %s, want %s", raw, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	received := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	const later = "Mon, 01 Jan 2024 00:02:00 GMT"
	tests := []struct {
		header, date string
		want         time.Duration
		ok           bool
	}{
		{"", "", 0, false},
		{"30", "", 30 * time.Second, true},
		{"0", "", 0, true},
		{"-30", "", 0, false},
		{"30.5", "", 0, false},
		{"18446744073709551615", "", maxRetryAfter, true},
		{"99999999999999999999", "", 0, false},
		{later, "", 2 * time.Minute, true},
		{later, "Mon, 01 Jan 2024 00:01:00 GMT", time.Minute, true}, // by the server's own clock
		{later, "Mon, 01 Jan 2024 00:03:00 GMT", 0, true},
		{"Fri, 01 Jan 2100 00:00:00 GMT", "", maxRetryAfter, true},
		{"soon", "", 0, false},
	}
	for _, tt := range tests {
		got, ok := retryAfter(tt.header, tt.date, received)
		if got != tt.want || ok != tt.ok {
			t.Errorf("Retry-After %q, Date %q: %s, %t; want %s, %t", tt.header, tt.date, got, ok, tt.want, tt.ok)
		}
	}
}
