package sdk

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEnds(t *testing.T) {
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// Logged in on Monday at nine, the newest token came on Tuesday at noon.
	m := Moments{Login: at("2026-03-02T09:00:00Z"), Issued: at("2026-03-03T12:00:00Z")}
	with := func(change func(*Moments)) Moments {
		n := m
		change(&n)
		return n
	}
	newYork := TimeOfDay{Zone: "America/New_York"}
	india := TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}
	tests := map[string]struct {
		policy                 Policy
		moments                Moments
		access, refresh, grant string
		certain                string // which of them, by its first letter
	}{
		"nothing is known": {moments: m},
		"Schwab": {
			policy:  Policy{AccessLifetime: 30 * time.Minute, RefreshLifetime: 7 * 24 * time.Hour},
			moments: m, access: "2026-03-03T12:30:00Z", refresh: "2026-03-09T09:00:00Z", certain: "r",
		},
		"Saxo, by its answer": {
			policy:  Policy{AccessLifetime: 20 * time.Minute, RefreshLifetime: 40 * time.Minute, Sliding: true},
			moments: with(func(m *Moments) { m.Access, m.Refresh = 19*time.Minute, time.Hour }),
			access:  "2026-03-03T12:19:00Z", refresh: "2026-03-03T13:00:00Z", certain: "ar",
		},
		"an assumed lifetime": {
			moments: with(func(m *Moments) { m.Access, m.Assumed = 15*time.Minute, true }), access: "2026-03-03T12:15:00Z",
		},
		"a token that came dead": {
			moments: with(func(m *Moments) { m.Access = -time.Minute }), access: "2026-03-03T11:59:00Z", certain: "a",
		},
		"Zerodha, six in India": {
			policy:  Policy{AccessLifetime: 24 * time.Hour, Access: Deadline{Clock: india, Certain: true}},
			moments: m, access: "2026-03-04T00:30:00Z", certain: "a",
		},
		"E*TRADE, midnight and two hours idle": {
			policy:  Policy{Access: Deadline{Clock: newYork, Idle: 2 * time.Hour, Certain: true}},
			moments: m, access: "2026-03-03T14:00:00Z", certain: "a",
		},
		"TradeStation, a day at most": {
			policy: Policy{
				AccessLifetime: 20 * time.Minute, Refresh: Deadline{Lifetime: 30 * time.Minute, Sliding: true, Certain: true},
				Grant: Deadline{Lifetime: 27*time.Hour + 10*time.Minute, Certain: true},
			},
			moments: m, access: "2026-03-03T12:10:00Z", refresh: "2026-03-03T12:10:00Z", grant: "2026-03-03T12:10:00Z", certain: "arg",
		},
		"the answer names the grant's end": {
			moments: with(func(m *Moments) { m.Access, m.GrantEnd = time.Hour, at("2026-03-03T12:30:00Z") }),
			access:  "2026-03-03T12:30:00Z", refresh: "2026-03-03T12:30:00Z", grant: "2026-03-03T12:30:00Z", certain: "arg",
		},
		"Google, half a year idle": {
			policy:  Policy{Refresh: Deadline{Idle: 180 * 24 * time.Hour}},
			moments: m, refresh: "2026-08-30T12:00:00Z",
		},
		"no login is known": {
			policy:  Policy{RefreshLifetime: time.Hour},
			moments: Moments{Issued: m.Issued},
		},
		"no login is known, and it dies at midnight in New York": {
			policy:  Policy{RefreshLifetime: time.Hour, Grant: Deadline{Clock: newYork, Certain: true}},
			moments: Moments{Issued: m.Issued},
			access:  "2026-03-04T05:00:00Z", refresh: "2026-03-04T05:00:00Z", grant: "2026-03-04T05:00:00Z", certain: "arg",
		},
		"the day of 23 hours in New York": {
			policy:  Policy{Access: Deadline{Clock: newYork, Certain: true}},
			moments: Moments{Issued: at("2026-03-08T05:00:00Z")}, access: "2026-03-09T04:00:00Z", certain: "a",
		},
		"the day of 25 hours in New York": {
			policy:  Policy{Access: Deadline{Clock: newYork, Certain: true}},
			moments: Moments{Issued: at("2026-11-01T04:00:00Z")}, access: "2026-11-02T05:00:00Z", certain: "a",
		},
		"a grant that each refresh prolongs": {
			policy:  Policy{Grant: Deadline{Lifetime: 24 * time.Hour, Sliding: true}},
			moments: m, access: "2026-03-04T12:00:00Z", refresh: "2026-03-04T12:00:00Z", grant: "2026-03-04T12:00:00Z",
		},
	}
	for name, tt := range tests {
		e := tt.policy.Ends(tt.moments)
		for _, part := range []struct {
			letter string
			got    End
			want   string
		}{{"a", e.Access, tt.access}, {"r", e.Refresh, tt.refresh}, {"g", e.Grant, tt.grant}} {
			certain := false
			for _, c := range tt.certain {
				certain = certain || string(c) == part.letter
			}
			if !part.got.At.Equal(at(part.want)) || part.got.Certain != certain {
				t.Errorf("%s: %s ends %s (certain %t), want %s (%t)", name, part.letter, part.got.At, part.got.Certain, part.want, certain)
			}
		}
	}
}

func TestTimeOfDay(t *testing.T) {
	for name, tt := range map[string]struct {
		clock      TimeOfDay
		from, want string
	}{
		"a day of 23 hours":        {TimeOfDay{Zone: "America/New_York"}, "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"},
		"a day of 25 hours":        {TimeOfDay{Zone: "America/New_York"}, "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},
		"an hour that is left out": {TimeOfDay{Hour: 2, Minute: 30, Zone: "America/New_York"}, "2026-03-08T00:00:00-05:00", "2026-03-08T03:30:00-04:00"},
		"a midnight that is not":   {TimeOfDay{Zone: "America/Santiago"}, "2026-09-05T12:00:00-04:00", "2026-09-06T01:00:00-03:00"},
		"another day there":        {TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}, "2026-03-01T23:30:00Z", "2026-03-02T06:00:00+05:30"},
		"at the moment":            {TimeOfDay{Hour: 6, Zone: "UTC"}, "2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z"},
		"none":                     {TimeOfDay{}, "2026-03-01T06:00:00Z", ""},
		"no such zone":             {TimeOfDay{Zone: "Mars/Olympus"}, "2026-03-01T06:00:00Z", ""},
		"no such hour":             {TimeOfDay{Hour: 24, Zone: "UTC"}, "2026-03-01T06:00:00Z", ""},
		"no zone":                  {TimeOfDay{Hour: 6}, "2026-03-01T06:00:00Z", ""},
	} {
		from, err := time.Parse(time.RFC3339, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := tt.clock.Next(from)
		if ok != (tt.want != "") || ok && got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s: %s %t, want %s", name, got.Format(time.RFC3339), ok, tt.want)
		}
		if fault := tt.clock.Fault(); (fault == "") != (ok || name == "none") {
			t.Errorf("%s: fault %q", name, fault)
		}
	}
}

func TestSlides(t *testing.T) {
	login := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	m := Moments{Login: login, Issued: login.Add(time.Hour)}
	said := m
	said.Refresh = time.Hour
	halfHour := Deadline{Lifetime: 30 * time.Minute, Sliding: true}
	for name, tt := range map[string]struct {
		policy             Policy
		moments            Moments
		slides, countsFrom bool
	}{
		"nothing is known":           {moments: m},
		"Schwab":                     {Policy{RefreshLifetime: 7 * 24 * time.Hour}, m, false, true},
		"Saxo":                       {Policy{RefreshLifetime: time.Hour, Sliding: true}, said, true, false},
		"an answer that counts down": {Policy{}, said, false, false},
		"idle":                       {Policy{Refresh: Deadline{Idle: 180 * 24 * time.Hour}}, m, true, false},
		"midnight":                   {Policy{Grant: Deadline{Clock: TimeOfDay{Zone: "America/New_York"}}}, m, false, false},
		"within the grant's day":     {Policy{Refresh: halfHour, Grant: Deadline{Lifetime: 24 * time.Hour}}, m, true, true},
		"up to the grant's end":      {Policy{Refresh: halfHour, Grant: Deadline{Lifetime: 80 * time.Minute}}, m, false, true},
	} {
		if got := tt.policy.Slides(tt.moments); got != tt.slides {
			t.Errorf("%s: slides %t", name, got)
		}
		if got := tt.policy.CountsFromLogin(); got != tt.countsFrom {
			t.Errorf("%s: counts from the login %t", name, got)
		}
	}
}

// Whatever a policy, an answer or a clock says, an end is not known or a moment that
// can be, and never later than that of the grant.
func TestEndsSaturate(t *testing.T) {
	moment := func(t *rapid.T, label string) time.Time {
		return rapid.OneOf(rapid.Just(time.Time{}),
			rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64().Draw(t, "s"), 0) }),
			rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), 0) })).Draw(t, label)
	}
	span := func(t *rapid.T, label string) time.Duration {
		return time.Duration(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64})).Draw(t, label))
	}
	deadline := func(t *rapid.T, label string) Deadline {
		return Deadline{
			Lifetime: span(t, label+" lifetime"), Idle: span(t, label+" idle"), Sliding: rapid.Bool().Draw(t, label+" slides"),
			Clock: TimeOfDay{Hour: rapid.IntRange(-1, 24).Draw(t, label+" hour"), Zone: rapid.SampledFrom([]string{"", "America/New_York"}).Draw(t, label+" zone")},
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			AccessLifetime: span(t, "access"), RefreshLifetime: span(t, "refresh"), Sliding: rapid.Bool().Draw(t, "slides"),
			Access: deadline(t, "access"), Refresh: deadline(t, "refresh"), Grant: deadline(t, "grant"),
		}
		m := Moments{
			Login: moment(t, "login"), Issued: moment(t, "issued"), GrantEnd: moment(t, "grant's end"),
			Access: span(t, "said of access"), Refresh: span(t, "said of refresh"),
		}
		e := p.Ends(m)
		for part, end := range map[string]End{"access": e.Access, "refresh": e.Refresh, "grant": e.Grant} {
			if !end.At.IsZero() && (!end.At.After(earliest) || !end.At.Before(latest)) {
				t.Fatalf("%s ends %s", part, end.At)
			}
			if end.At.After(e.Grant.At) && !e.Grant.At.IsZero() || end.At.IsZero() && !e.Grant.At.IsZero() {
				t.Fatalf("%s ends %s, after its grant, %s", part, end.At, e.Grant.At)
			}
		}
		p.Slides(m)
	})
}
