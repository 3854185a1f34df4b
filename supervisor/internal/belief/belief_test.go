package belief_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// anyTime and anyLife give ordinary ones, and those that overflow in arithmetic.
func anyTime() *rapid.Generator[time.Time] {
	return rapid.OneOf(
		rapid.SampledFrom([]time.Time{{}, now, time.Unix(0, 0), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(now.UnixMilli(), 0)}),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64().Draw(t, "s"), 0) }),
		rapid.Custom(func(t *rapid.T) time.Time {
			return now.Add(time.Duration(rapid.IntRange(-100_000, 100_000).Draw(t, "s")) * time.Second)
		}),
	)
}

func anyLife() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.OneOf(
			rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}), rapid.Int64Range(-1<<44, 1<<44),
		).Draw(t, "d"))
	})
}

// Whatever a provider says, what is believed can be: no token came in the future, none
// lives for longer than a year, and what was possible is left as it was.
func TestWhateverAProviderSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := sdk.Token{
			RefreshToken: sdk.NewSecret("r"), IssuedAt: anyTime().Draw(t, "issued"), Lifetime: anyLife().Draw(t, "life"),
			RefreshLifetime: anyLife().Draw(t, "refresh life"), Skew: anyLife().Draw(t, "skew"), Uncertain: rapid.Bool().Draw(t, "uncertain"),
		}
		half := rapid.Bool().Draw(t, "half")
		if !half {
			said.AccessToken = sdk.NewSecret("a")
		}
		p := sdk.Policy{AccessLifetime: anyLife().Draw(t, "usual")}
		recovered := rapid.Bool().Draw(t, "recovered")
		begun := anyTime().Draw(t, "begun")
		a, doubts, err := belief.Answer(sdk.Answer{Token: said, Recovered: recovered}, nil, p, begun, now)
		got := a.Token
		if err != nil || !moment.Sane(got.IssuedAt) || got.IssuedAt.After(now) || got.Lifetime.Abs() > schedule.Farthest {
			t.Fatalf("issued %s, lives %s (%v)", got.IssuedAt, got.Lifetime, err)
		}
		if got.RefreshLifetime < 0 || got.RefreshLifetime > schedule.Farthest || got.Skew.Abs() > 101*366*24*time.Hour {
			t.Fatalf("the refresh token lives %s, the clocks differ by %s", got.RefreshLifetime, got.Skew)
		}
		if (got.Lifetime == 0) != half && !recovered {
			t.Fatalf("half: %t, and it lives %s", half, got.Lifetime)
		}
		if moment.Sane(said.IssuedAt) && !said.IssuedAt.After(now) && !got.IssuedAt.Equal(said.IssuedAt) {
			t.Fatalf("issued %s, and not %s", got.IssuedAt, said.IssuedAt)
		}
		if life := said.Lifetime; !half && life != 0 && life.Abs() <= schedule.Farthest && !said.IssuedAt.After(now) && (moment.Sane(said.IssuedAt) || !recovered) && got.Lifetime != life {
			t.Fatalf("it lives %s, and not %s", got.Lifetime, life)
		}
		seen := map[string]bool{}
		for _, d := range doubts {
			if d.About == "" || d.Text == "" || seen[d.About] {
				t.Fatalf("%+v", doubts)
			}
			seen[d.About] = true
		}
	})
}

// An answer that has waited in a spool, and does not say when it came, counts from when
// its attempt began: where only a login brings the next token, one of which nobody knows
// when it ends would be handed out for ever. Where nobody knows that either, or the clock
// was set back since, its end is not known.
func TestAnAnswerFromASpoolThatDoesNotSayWhenItCame(t *testing.T) {
	for name, c := range map[string]struct {
		came, begun time.Time
		waited      bool
		from        time.Time
		life        time.Duration
	}{
		"it has waited":                     {begun: now.Add(-time.Hour), waited: true, from: now.Add(-time.Hour), life: 8 * time.Hour},
		"it came when none can have come":   {came: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), begun: now.Add(-time.Hour), waited: true, from: now.Add(-time.Hour), life: 8 * time.Hour},
		"it says when it came":              {came: now.Add(-time.Minute), begun: now.Add(-time.Hour), waited: true, from: now.Add(-time.Minute), life: 8 * time.Hour},
		"it has just come":                  {begun: now.Add(-time.Minute), from: now, life: 8 * time.Hour},
		"nobody knows when it was begun":    {waited: true, from: now},
		"it was begun in the future":        {begun: now.Add(time.Hour), waited: true, from: now},
		"it came in the future: a set back": {came: now.Add(time.Hour), begun: now.Add(-time.Hour), waited: true, from: now},
	} {
		said := sdk.Token{AccessToken: sdk.NewSecret("a"), IssuedAt: c.came, Lifetime: 8 * time.Hour}
		a, _, err := belief.Answer(sdk.Answer{Token: said, Recovered: c.waited}, nil, sdk.Policy{}, c.begun, now)
		if err != nil || !a.Token.IssuedAt.Equal(c.from) || a.Token.Lifetime != c.life {
			t.Errorf("%s: it came %s and lives %s, want %s and %s (%v)", name, a.Token.IssuedAt, a.Token.Lifetime, c.from, c.life, err)
		}
	}
}

// What a policy that nobody has written says is not believed beyond measure, and nothing
// of it is negative.
func TestWhateverAPolicySays(t *testing.T) {
	for _, said := range []time.Duration{math.MinInt64, -1, math.MaxInt64} {
		d := sdk.Description{KeepaliveEvery: said, Limits: sdk.Limits{LockedOutFor: said}, Policy: sdk.Policy{
			AccessLifetime: said, RefreshLifetime: said, ReuseGrace: said, BeforeExpiry: said,
			Access: sdk.Deadline{Lifetime: said, Idle: said}, Refresh: sdk.Deadline{Lifetime: said, Idle: said}, Grant: sdk.Deadline{Lifetime: said, Idle: said},
		}}
		d = belief.Description(d)
		p := d.Policy
		for _, got := range []time.Duration{
			d.KeepaliveEvery, d.Limits.LockedOutFor, p.AccessLifetime, p.RefreshLifetime, p.ReuseGrace, p.BeforeExpiry,
			p.Access.Lifetime, p.Access.Idle, p.Refresh.Lifetime, p.Refresh.Idle, p.Grant.Lifetime, p.Grant.Idle,
		} {
			if got < 0 || got > 101*366*24*time.Hour || said < 0 && got != 0 {
				t.Errorf("of %d it believes %s: %+v", said, got, d)
			}
		}
	}
}

func TestSpooledLoginsAndPauses(t *testing.T) {
	for said, want := range map[time.Time]time.Time{
		{}: now, time.Unix(math.MaxInt64, 0): now, now.Add(time.Hour): now, now.Add(-time.Hour): now.Add(-time.Hour),
	} {
		if got := belief.Spooled([]spool.Entry{{BegunAt: said}}, now)[0].BegunAt; !got.Equal(want) {
			t.Errorf("begun %s, said to be %s", got, said)
		}
	}
	for said, want := range map[time.Time]time.Time{
		{}: {}, time.Unix(math.MaxInt64, 0): {}, time.Unix(0, 0): {}, now.Add(time.Minute): now.Add(time.Minute), now.Add(-time.Minute): now.Add(-time.Minute),
		now.Add(1000 * time.Hour): now.Add(24 * time.Hour),
	} {
		if got := belief.Login(sdk.Login{Expires: said, PollEvery: -1}, now); !got.Expires.Equal(want) || got.PollEvery != 0 {
			t.Errorf("it ends %s, said to be %s; polled each %s", got.Expires, said, got.PollEvery)
		}
	}
	for said, want := range map[time.Duration]time.Duration{math.MinInt64: 0, math.MaxInt64: time.Hour, time.Minute: time.Minute} {
		_, _, err := belief.Answer(sdk.Answer{}, &sdk.Error{Kind: sdk.KindRateLimited, RetryAfter: said}, sdk.Policy{}, now, now)
		var e *sdk.Error
		if !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("of a pause of %s it believes %v", said, err)
		}
	}
}

// Nothing of a provider enters past this package: who makes a call to one names it.
func TestNobodyHearsAProviderOtherwise(t *testing.T) {
	call := regexp.MustCompile(`(remote|through|p|sdk\.NewRemote\(conn\))\.(\w+Answer|Refresh|Renew|Mint|Exchange|EndLogin|Unsettled|Describe|BeginLogin|KeepAlive)\((ctx|asked|call)\b`)
	callers := 0
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && call.Match(text) {
			callers++
			if !strings.Contains(string(text), "belief.") {
				t.Errorf("%s calls a provider (%s) and believes all that it says: see package belief", path, call.Find(text))
			}
		}
		return err
	})
	if err != nil || callers < 5 {
		t.Errorf("%d callers were found: this proves nothing (%v)", callers, err)
	}
}
