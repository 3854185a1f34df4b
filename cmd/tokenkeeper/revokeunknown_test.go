package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Where nothing is sent by itself, no refresh is said to find out whether a login is revoked.
func TestStatusOfARevocationOfUnknownOutcome(t *testing.T) {
	for name, tt := range map[string]struct {
		shown    refresh.Shown
		findsOut bool
	}{
		"refreshed": {refresh.Shown{Way: control.WayRefresh}, true},
		"renewed":   {refresh.Shown{Way: control.WayRenew}, true},
		"by hand":   {refresh.Shown{Way: control.WayLogin}, false},
		"paused":    {refresh.Shown{Way: control.WayRefresh, Pause: &store.Pause{Since: now}}, false},
	} {
		tt.shown.State, tt.shown.Version, tt.shown.Expiry, tt.shown.RevokeUnknown = control.AccountValid, 3, now.Add(time.Hour), now.Add(-time.Hour)
		s := sampleStatus()
		s.Accounts = []control.Account{{Name: "main", Provider: "schwab", Shown: tt.shown}}
		text := renderStatus(s, now, painter{}, narrow)
		fitsColumns(t, text)
		text = inOneLine(text)
		for _, want := range []string{"a revocation of its login was sent 13:20:00", "and its outcome is unknown: ask again (tokenkeeper revoke main), or look in the broker's account page"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %s", name, want, text)
			}
		}
		if strings.Contains(text, "the next refresh finds out") != tt.findsOut {
			t.Errorf("%s: %s", name, text)
		}
	}
}
