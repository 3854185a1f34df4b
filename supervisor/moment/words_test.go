package moment_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

var now = time.Date(2026, 9, 14, 14, 20, 0, 0, time.FixedZone("CEST", 2*3600))

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "in 0s", 59 * time.Second: "in 59s", 119 * time.Second: "in 119s", 2 * time.Minute: "in 2m", 119 * time.Minute: "in 119m",
		2 * time.Hour: "in 2h", 7*24*time.Hour - time.Second: "in 7d", 30*time.Minute - time.Second: "in 30m", 24*time.Hour - time.Minute: "in 24h",
		150 * time.Second: "in 2m", 151 * time.Second: "in 3m", 2*time.Hour - time.Second: "in 2h", 48*time.Hour - time.Minute: "in 2d", -6*24*time.Hour - 13*time.Hour: "7d ago",
		2*time.Hour + 29*time.Minute: "in 2h", 47 * time.Hour: "in 47h", 48 * time.Hour: "in 2d", -time.Second: "1s ago", -time.Millisecond: "just now",
	} {
		if got := moment.Relative(now.Add(d), now); got != want {
			t.Errorf("Relative(%v) = %q, want %q", d, got, want)
		}
	}
	if got := moment.Relative(time.Time{}, now); got != "-" {
		t.Errorf("no time: %q", got)
	}
	for at, want := range map[time.Time]string{
		now.Add(3 * time.Second): "14:20:03 in 3s",
		now.Add(10 * time.Hour):  "00:20:00 in 10h",
		now.Add(24 * time.Hour):  "Sep 15 in 24h",
		now.AddDate(1, 0, 0):     "2027-09-14 in 365d",
		now.Add(-30 * time.Hour): "Sep 13 30h ago",
		time.Time{}:              "-",
	} {
		if got := moment.Brief(at, now, false); got != want {
			t.Errorf("Brief(%v) = %q, want %q", at, got, want)
		}
	}
	for at, want := range map[time.Time]string{
		now:                      "~14:20:00 in 0s",
		now.Add(10 * time.Hour):  "~Sep 15 00:20 in 10h",
		now.AddDate(1, 0, 0):     "~2027-09-14 in 365d",
		now.Add(-24 * time.Hour): "~Sep 13 14:20 24h ago",
		now.In(time.FixedZone("", 3600)).Add(time.Hour): "~15:20:00 in 60m",
	} {
		if got := moment.Text(at, now, true); got != want {
			t.Errorf("Text(%v) = %q, want %q", at, got, want)
		}
	}
	for got, want := range map[string]string{
		moment.Stamp(now): "2026-09-14 12:20 UTC", moment.Stamp(time.Time{}): "unknown",
		moment.Ends(now, now.Add(-1), false): "ends 2026-09-14 12:20 UTC", moment.Ends(now, now.Add(-1), true): "ends about 2026-09-14 12:20 UTC",
		moment.Ends(now, now, false): "ended 2026-09-14 12:20 UTC", moment.Ends(now, now.Add(1), true): "ended about 2026-09-14 12:20 UTC",
		moment.Ends(time.Time{}, now, true): "has an end that nobody knows",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// No time that nobody knows shows as a date, nor as the 292 years that
// arithmetic with it gives.
func TestNoImpossibleTimeIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, uncertain := anyTime(t, "at"), rapid.Bool().Draw(t, "uncertain")
		for _, text := range []string{
			moment.Relative(at, now), moment.Text(at, now, uncertain), moment.Brief(at, now, uncertain),
			moment.Stamp(at), moment.Ends(at, now, uncertain),
		} {
			if strings.Contains(text, "0001") || strings.Contains(text, "106751") || !moment.Sane(at) && strings.ContainsAny(text, "0123456789") {
				t.Fatalf("%v shows as %q", at, text)
			}
		}
		moment.Span(anyDuration(t, "span"))
	})
}
