package schedule_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// A refresh that ends the access token comes late for that one's sake, also where the
// provider names no time, and never later for the refresh token.
func TestRefreshThatKillsTheAccessToken(t *testing.T) {
	hour := schedule.Life{Issued: issued, Lifetime: time.Hour, Sliding: true}
	dies := hour
	dies.RefreshEnd, dies.RefreshLife = issued.Add(time.Hour), time.Hour
	for name, tt := range map[string]struct {
		life               schedule.Life
		configured, before time.Duration
		want               time.Duration // before the end
	}{
		"as the provider says":             {life: hour, before: 5 * time.Minute, want: time.Minute},
		"the provider says nothing":        {life: hour, want: time.Minute},
		"the provider wants it later":      {life: hour, before: 20 * time.Second, want: 20 * time.Second},
		"as somebody wants it":             {life: hour, configured: 4 * time.Minute, before: 5 * time.Minute, want: 4 * time.Minute},
		"its refresh token ends with it":   {life: dies, before: 5 * time.Minute, want: 5 * time.Minute},
		"that, and the provider is silent": {life: dies, want: time.Minute},
		"that, and somebody wants it so":   {life: dies, configured: 2 * time.Minute, before: 5 * time.Minute, want: 2 * time.Minute},
	} {
		p := schedule.Policy{BeforeExpiry: tt.configured, Jitter: 30 * time.Second}.By(tt.before, true)
		if got, want := schedule.PlanOf(p, tt.life, issued, 1).Due, issued.Add(time.Hour-tt.want); !got.Equal(want) {
			t.Errorf("%s: due %s, want %s", name, got, want)
		}
	}
}
