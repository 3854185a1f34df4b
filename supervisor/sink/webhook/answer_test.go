package webhook

import (
	"testing"
	"time"
)

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "1.5": 0, " 30 ": 30 * time.Second, "99999999999999999999": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:59:00 GMT": 0,
	} {
		f.Add(header)
		if got, ok := retryAfter(header, now); got != want || ok != (want > 0) {
			f.Errorf("%q: %s, %v", header, got, ok)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		if after, ok := retryAfter(header, now); after < 0 || ok != (after > 0) {
			t.Errorf("%q: %s, %v", header, after, ok)
		}
	})
}
