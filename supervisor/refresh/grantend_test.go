package refresh

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// TestGrantEnd: when a login is over however it is refreshed, which is the end of the
// refresh token only where a refresh does not move that.
func TestGrantEnd(t *testing.T) {
	login := time.Unix(1_800_000_000, 0).UTC()
	issued, day := login.Add(time.Hour), 24*time.Hour
	for name, tt := range map[string]struct {
		policy  sdk.Policy
		way     store.Way
		unmet   bool
		noLogin bool
		want    time.Time
		certain bool
	}{
		"a fixed time after the login":       {policy: sdk.Policy{RefreshLifetime: 7 * day}, want: login.Add(7 * day), certain: true},
		"of a login that nobody knows":       {policy: sdk.Policy{RefreshLifetime: 7 * day}, noLogin: true},
		"never, as it is refreshed":          {policy: sdk.Policy{RefreshLifetime: day, Sliding: true}},
		"of a grant that outlives its token": {policy: sdk.Policy{RefreshLifetime: day, Sliding: true, Grant: sdk.Deadline{Lifetime: 90 * day, Certain: true}}, want: login.Add(90 * day), certain: true},
		"of one of which that is a guess":    {policy: sdk.Policy{RefreshLifetime: day, Sliding: true, Grant: sdk.Deadline{Lifetime: 90 * day}}, want: login.Add(90 * day)},
		"of one that ends before its token":  {policy: sdk.Policy{RefreshLifetime: day, Sliding: true, Grant: sdk.Deadline{Lifetime: 2 * time.Hour, Certain: true}}, want: login.Add(2 * time.Hour), certain: true},
		"of a provider that is not known":    {policy: sdk.Policy{RefreshLifetime: 7 * day}, unmet: true},
		"of a token that a login brings":     {policy: sdk.Policy{}, way: store.WayLogin, want: issued.Add(30 * time.Minute), certain: true},
		"of one that renews itself":          {policy: sdk.Policy{}, way: store.WayRenew},
		"of a key":                           {policy: sdk.Policy{Grant: sdk.Deadline{Lifetime: day}}, way: store.WayMint},
	} {
		rec := store.Record{Version: 1, Way: tt.way, LoginAt: login, Token: sdk.Token{
			AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), IssuedAt: issued, Lifetime: 30 * time.Minute,
		}}
		if tt.noLogin {
			rec.LoginAt = time.Time{}
		}
		noteEnds(&rec, tt.policy)
		if got := grantEnd(rec, nature{met: !tt.unmet, policy: tt.policy}); !got.At.Equal(tt.want) || got.Certain != tt.certain && !tt.want.IsZero() {
			t.Errorf("%s: %+v, want %s, certain %t", name, got, tt.want, tt.certain)
		}
	}
	if got := grantEnd(store.Record{}, nature{met: true}); !got.At.IsZero() {
		t.Errorf("of no token: %+v", got)
	}
}
