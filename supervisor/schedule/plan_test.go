package schedule_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

func TestPlan(t *testing.T) {
	const s, m, h, d = time.Second, time.Minute, time.Hour, 24 * time.Hour
	five := schedule.Policy{BeforeExpiry: 5 * m}
	// A Schwab login of seven days, seen at a token that came after.
	schwab := func(after time.Duration) schedule.Life {
		return schedule.Life{
			Issued: issued, Lifetime: 30 * m, Asked: issued,
			RefreshEnd: issued.Add(7*d - after), RefreshLife: 7 * d, Sure: true,
		}
	}
	foreign := schedule.Life{Issued: issued, Lifetime: 180 * s, Foreign: true, Usual: schedule.Farthest}
	for _, tt := range []struct {
		name   string
		before time.Duration // the expiry; 0: five minutes
		life   schedule.Life
		now    time.Duration // after it was issued
		want   time.Duration // after it was issued
		end    bool
	}{
		{name: "the refresh token dies first", want: 15 * s,
			life: schedule.Life{Issued: issued, Lifetime: 200 * s, RefreshEnd: issued.Add(30 * s), RefreshLife: 30 * s, Sliding: true}},
		{name: "the same where nobody says that it slides", want: 15 * s,
			life: schedule.Life{Issued: issued, Lifetime: 200 * s, RefreshEnd: issued.Add(30 * s), RefreshLife: 30 * s, Sure: true}},
		{name: "Saxo: a sliding one that lives longer", want: 15 * m,
			life: schedule.Life{Issued: issued, Lifetime: 20 * m, RefreshEnd: issued.Add(40 * m), RefreshLife: 40 * m, Sliding: true}},
		{name: "a sliding one that is over is tried", now: h, want: 35 * m,
			life: schedule.Life{Issued: issued, RefreshEnd: issued.Add(40 * m), RefreshLife: 40 * m, Sliding: true, Sure: true}},
		{name: "Schwab: early in its week", life: schwab(d), want: 25 * m},
		{name: "Schwab: the last refresh, as late as possible", life: schwab(7*d - 15*m), want: 10 * m},
		{name: "Schwab: none after it", life: schwab(7*d - 4*m), end: true},
		{name: "Schwab: none after the end", life: schwab(7*d - 15*m), now: 16 * m, end: true},
		{name: "Schwab, before_expiry 2h: no last refresh that a token can't outlast", before: 2 * h, life: schwab(7*d - h), want: 7*m + 30*s},
		{name: "Schwab, before_expiry 2h: the last refresh", before: 2 * h, life: schwab(7*d - 25*m), want: 2*m + 30*s},
		{name: "Schwab, before_expiry 2h: none after it", before: 2 * h, life: schwab(7*d - 22*m), end: true},
		{name: "a token that lives shorter than any margin outlasts the last refresh, too", want: 4 * s,
			life: schedule.Life{Issued: issued, Lifetime: 28 * s, RefreshEnd: issued.Add(25 * s), RefreshLife: d, Sure: true}},
		{name: "none after a token that ends with its login", end: true,
			life: schedule.Life{Issued: issued, Lifetime: 5*m - s/2, RefreshEnd: issued.Add(5 * m), RefreshLife: d, Sure: true}},
		{name: "the last refresh before one that would end with its login", want: 5 * m,
			life: schedule.Life{Issued: issued, Lifetime: 10 * m, RefreshEnd: issued.Add(10 * m), RefreshLife: d, Sure: true}},
		{name: "none where the pause after the last answer outlasts it", end: true,
			life: schedule.Life{Issued: issued, Lifetime: 30 * m, Asked: issued, RefreshEnd: issued.Add(8 * s), RefreshLife: 8 * s, Sure: true}},
		{name: "where the end is a guess it goes on", want: 25 * m,
			life: schedule.Life{Issued: issued, Lifetime: 30 * m, RefreshEnd: issued.Add(-h), RefreshLife: 7 * d}},
		{name: "a token from a file is tried after the end", want: 25 * m,
			life: schedule.Life{Issued: issued, Lifetime: 30 * m, Foreign: true, Sure: true, RefreshEnd: issued.Add(-h), RefreshLife: 7 * d}},
		{name: "a life does not begin at its import", life: foreign, want: -2 * m},
		{name: "not again at once", life: schedule.Life{Issued: issued, Lifetime: -5 * s, Asked: issued}, want: s},
		{name: "not again at once, of a life that nobody knows", life: schedule.Life{Issued: issued, Asked: issued}, want: s},
		{name: "no longer than a pause, if the clock was set back", life: schedule.Life{Asked: issued.Add(h)}, want: s},
	} {
		policy := five
		if tt.before > 0 {
			policy.BeforeExpiry = tt.before
		}
		got := schedule.PlanOf(policy, tt.life, issued.Add(tt.now), 0)
		if got.Ended != tt.end || !tt.end && got.Due.Sub(issued) != tt.want {
			t.Errorf("%s: due after %s (ended %t), want %s (%t)", tt.name, got.Due.Sub(issued), got.Ended, tt.want, tt.end)
		}
	}
}

// Whatever the times are: a plan is sane, never in a hot loop, before the end of a
// refresh token that is still ahead, and over no earlier than the token can outlast that.
func TestAnyPlanIsSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) time.Duration { return time.Duration(rapid.Int64().Draw(t, name)) }
		l := schedule.Life{
			Issued: hostile().Draw(t, "issued"), Lifetime: span("lifetime"), Foreign: rapid.Bool().Draw(t, "foreign"),
			RefreshEnd: hostile().Draw(t, "refresh end"), RefreshLife: span("refresh life"),
			Sliding: rapid.Bool().Draw(t, "sliding"), Sure: rapid.Bool().Draw(t, "sure"), Asked: hostile().Draw(t, "asked"),
		}
		if rapid.Bool().Draw(t, "ordinary") {
			l.Issued = issued
			l.RefreshEnd = issued.Add(time.Duration(rapid.Int64Range(int64(time.Minute), int64(1000*time.Hour)).Draw(t, "end in")))
			l.Asked = issued
		}
		p := schedule.Policy{BeforeExpiry: max(0, span("before")), Every: max(0, span("every"))}
		if rapid.Bool().Draw(t, "a login that ends") {
			hours := func(name string) time.Duration {
				return time.Duration(rapid.Int64Range(int64(time.Second), int64(8*time.Hour)).Draw(t, name))
			}
			l.Issued, l.Asked, l.Sure, l.Foreign, l.Sliding = issued, issued, true, false, false
			l.Lifetime, l.RefreshEnd, p.BeforeExpiry = hours("lives"), issued.Add(hours("ends")), hours("asked before")
		}
		got := schedule.PlanOf(p, l, issued, 0.5)
		if got.Ended != got.Due.IsZero() || !got.Ended && !moment.Sane(got.Due) {
			t.Fatalf("due %v, ended %t", got.Due, got.Ended)
		}
		if got.Ended {
			const pause = 10 * time.Second
			lasts := moment.Add(moment.Add(l.Issued, l.Lifetime), time.Second) // in which brokers count
			if l.Lifetime > 0 && moment.Sane(l.Issued) && issued.Add(pause).Before(l.RefreshEnd) && lasts.Before(l.RefreshEnd) {
				t.Fatalf("no refresh any more, and the token lasts until %v, the login until %v", lasts, l.RefreshEnd)
			}
			return
		}
		if l.Asked.Equal(issued) && got.Due.Before(issued.Add(time.Second)) {
			t.Fatalf("due %s after the server was asked", got.Due.Sub(issued))
		}
		if l.Sliding && l.RefreshEnd.After(issued.Add(10*time.Second)) && !got.Due.Before(l.RefreshEnd) {
			t.Fatalf("due %v, and the refresh token dies %v", got.Due, l.RefreshEnd)
		}
	})
}

// A refresh token that is said to live for no time at all is refreshed before its end
// like any other.
func TestLifeOfNoTimeIsNotBelieved(t *testing.T) {
	l := schedule.Life{Issued: issued, Lifetime: time.Hour, RefreshEnd: issued.Add(time.Minute), RefreshLife: 1, Sliding: true, Asked: issued}
	if got := schedule.PlanOf(schedule.Policy{}, l, issued, 0.5); !got.Due.Before(l.RefreshEnd) {
		t.Errorf("due %v, and the refresh token dies %v", got.Due, l.RefreshEnd)
	}
}

func TestWishesThatAShortLifeCuts(t *testing.T) {
	const m = time.Minute
	for _, tt := range []struct {
		policy schedule.Policy
		want   string
	}{
		{schedule.Policy{BeforeExpiry: 5 * m}, ""},
		{schedule.Policy{BeforeExpiry: 5 * m, Every: 10 * m}, ""},
		{schedule.Policy{BeforeExpiry: 18 * m}, "before_expiry 18m0s: the access token lives 20m0s, of which a quarter passes first; it is refreshed 15m0s before it expires"},
		{schedule.Policy{BeforeExpiry: 5 * m, Every: 25 * m}, "every 25m0s: the access token lives 20m0s; it is refreshed after 15m0s"},
		{schedule.Policy{Every: m}, "every 1m0s: the access token lives 20m0s, of which a quarter passes first; it is refreshed after 5m0s"},
	} {
		if got := strings.Join(schedule.Cut(tt.policy, 20*m), "; "); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.policy, got, tt.want)
		}
	}
}

func TestAllowed(t *testing.T) {
	const m = time.Minute
	for _, tt := range []struct {
		policy, want schedule.Policy
		lifetime     time.Duration
	}{
		{schedule.Policy{BeforeExpiry: 5 * m}, schedule.Policy{BeforeExpiry: 5 * m}, 20 * m},
		{schedule.Policy{BeforeExpiry: 40 * m}, schedule.Policy{BeforeExpiry: 15 * m}, 20 * m},
		{schedule.Policy{BeforeExpiry: 5 * m, Every: 10 * m}, schedule.Policy{BeforeExpiry: 5 * m, Every: 10 * m}, 20 * m},
		{schedule.Policy{BeforeExpiry: 5 * m, Every: 15 * m}, schedule.Policy{BeforeExpiry: 5 * m}, 20 * m},
		{schedule.Policy{BeforeExpiry: 5 * m, Every: m}, schedule.Policy{BeforeExpiry: 5 * m, Every: 5 * m}, 20 * m},
		{schedule.Policy{BeforeExpiry: 40 * m, Every: 50 * m}, schedule.Policy{BeforeExpiry: 40 * m, Every: 50 * m}, 0},
	} {
		if got := schedule.Allowed(tt.policy, tt.lifetime); got != tt.want {
			t.Errorf("%+v of a life of %v: %+v, want %+v", tt.policy, tt.lifetime, got, tt.want)
		}
	}
}
