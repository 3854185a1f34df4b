package lineage_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
)

// A zone is to blame for what only a zone can explain: an old file that was
// copied looks younger than the token in it, and no zone is wrong there.
func TestZoneFault(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	written := now.Add(-3 * time.Minute)
	for name, c := range map[string]struct {
		off   time.Duration // of the times in the file
		aware bool
		fault bool
	}{
		"right":                              {off: 0},
		"a little late":                      {off: -10 * time.Second},
		"ahead":                              {off: 9 * time.Hour, fault: true},
		"behind":                             {off: -9 * time.Hour, fault: true},
		"behind, seconds after the issue":    {off: -9*time.Hour - 5*time.Second, fault: true},
		"behind by an odd zone":              {off: -5*time.Hour - 45*time.Minute, fault: true},
		"a copy of three days ago":           {off: -72 * time.Hour},
		"a copy of two hours ago":            {off: -2*time.Hour - 7*time.Minute},
		"with a zone":                        {off: 9 * time.Hour, aware: true},
		"further ahead than any zone can be": {off: 40 * time.Hour, fault: true},
	} {
		d := format.Document{
			AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), Naive: !c.aware,
			WrittenAt: written, Expiry: written.Add(20*time.Minute + c.off),
		}
		if got := lineage.ZoneFault(d, sdk.Policy{AccessLifetime: 20 * time.Minute}, now); (got != "") != c.fault {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A program in another zone has written its new token into a file: by its own
// end it would be hours older than ours, or younger, and neither says anything.
// The time of the file does.
func TestJudgeInAWrongZone(t *testing.T) {
	for name, c := range map[string]struct {
		off     time.Duration
		written time.Duration // after ours came
		wrote   time.Duration // the same of our last delivery there; 0: none
		want    lineage.Verdict
	}{
		"behind":                              {-9 * time.Hour, 5 * time.Minute, 0, lineage.Newer},
		"behind, after our delivery":          {-9 * time.Hour, 5 * time.Minute, time.Second, lineage.Newer},
		"behind, before the broker gave ours": {-9 * time.Hour, -5 * time.Minute, 0, lineage.Outlived},
		"ahead":                               {9 * time.Hour, 5 * time.Minute, time.Second, lineage.Newer},
		"ahead, before the broker gave ours":  {9 * time.Hour, -5 * time.Minute, 0, lineage.Outlived},
	} {
		o, f := ours(), unknown()
		o.Policy = sdk.Policy{AccessLifetime: life}
		at := came.Add(c.written)
		f.Document.WrittenAt, f.Document.IssuedAt, f.Document.Naive = at, time.Time{}, true
		f.Document.Expiry = at.Add(life + c.off)
		if c.wrote > 0 {
			f.Wrote = came.Add(c.wrote)
		}
		now := came.Add(10 * time.Minute)
		if got := o.Judge(f, now).Verdict; got != c.want {
			t.Errorf("%s: verdict %d, want %d", name, got, c.want)
		}
		if left := lineage.TokenOf(f.Document, o.Policy, now).Token.Expiry().Sub(now); left > life {
			t.Errorf("%s: believed to live for %s", name, left)
		}
	}
}
