package schedule_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// A budget makes a refresh earlier, however short the life of the token is, and never
// later; neither the pause after an answer nor the end of the refresh token gives way to it.
func TestBudget(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	quarter := schedule.Life{Issued: issued, Lifetime: 15 * m, Asked: issued}
	week := schedule.Life{Issued: issued, Lifetime: 30 * m, Asked: issued, RefreshLife: 7 * 24 * h, Sure: true}
	ends := func(in time.Duration) schedule.Life { l := week; l.RefreshEnd = issued.Add(in); return l }
	for name, tt := range map[string]struct {
		policy schedule.Policy
		life   schedule.Life
		now    time.Duration
		chance float64
		want   time.Duration // after it was issued
		idle   bool
		end    bool
	}{
		"none":                                {policy: schedule.Policy{BeforeExpiry: 5 * m}, life: quarter, want: 10 * m},
		"before its need":                     {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 5 * m}, life: quarter, want: 5 * m},
		"before a quarter of its life":        {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: m}, life: quarter, want: m},
		"before every":                        {policy: schedule.Policy{Every: 8 * m, Budget: 5 * m}, life: quarter, want: 5 * m},
		"later than its need":                 {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 12 * m}, life: quarter, want: 10 * m, idle: true},
		"just as its need":                    {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 10 * m}, life: quarter, want: 10 * m, idle: true},
		"a tenth by chance":                   {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: m, Jitter: h}, life: quarter, chance: 1, want: 54 * s},
		"its jitter by chance":                {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 5 * m, Jitter: 10 * s}, life: quarter, chance: 1, want: 5*m - 10*s},
		"not again before a pause":            {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: s}, life: quarter, want: 10 * s},
		"of a life that nobody knows":         {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 5 * m}, life: schedule.Life{Issued: issued}, now: m, want: m},
		"early in the week of a login":        {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 5 * m}, life: ends(24 * h), want: 5 * m},
		"the last one is as late as it was":   {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 15 * m}, life: ends(15 * m), want: 10 * m},
		"none after the last one that helped": {policy: schedule.Policy{BeforeExpiry: 5 * m, Budget: 5 * m}, life: ends(4 * m), end: true},
	} {
		got := schedule.PlanOf(tt.policy, tt.life, issued.Add(tt.now), tt.chance)
		if got.Ended != tt.end || !tt.end && got.Due.Sub(issued) != tt.want {
			t.Errorf("%s: due after %s (ended %t), want %s", name, got.Due.Sub(issued), got.Ended, tt.want)
		}
		text := schedule.Idle(tt.policy, tt.life.Lifetime)
		if (text != "") != tt.idle || tt.idle != (tt.policy.Budget > 0 && tt.life.Lifetime > 0 && schedule.Allowed(tt.policy, tt.life.Lifetime).Budget == 0) {
			t.Errorf("%s: %q", name, text)
		}
	}
	const want = "budget: the access token lives 15m and is refreshed after 10m anyway; one each 12m is no more, and changes nothing"
	if got := schedule.Idle(schedule.Policy{BeforeExpiry: 5 * m, Budget: 12 * m}, 15*m); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
