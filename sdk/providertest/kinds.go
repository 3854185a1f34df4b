package providertest

import (
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// describesKinds: what a description says of deadlines, logins, sessions and limits
// does not contradict itself or what the provider can do.
func describesKinds(t *testing.T, d sdk.Description) {
	t.Helper()
	for name, deadline := range map[string]sdk.Deadline{"Access": d.Policy.Access, "Refresh": d.Policy.Refresh, "Grant": d.Policy.Grant} {
		if fault := deadline.Clock.Fault(); fault != "" {
			t.Errorf("Policy.%s.Clock: %s", name, fault)
		}
		if deadline.Lifetime < 0 || deadline.Idle < 0 {
			t.Errorf("Policy.%s has a negative duration", name)
		}
	}
	if p := d.Policy; d.NoRefresh && (p.Rotates || p.ReuseGrace != 0 || p.RefreshLifetime != 0 || p.Sliding || p.Refresh != (sdk.Deadline{})) {
		t.Error("the policy speaks of a refresh token, and the provider knows none (sdk.NoRefresh): Policy.Access and Policy.Grant say how its tokens die")
	}
	if d.NoRefresh && !d.Renewer && (d.Policy.OldAccessDies || d.Policy.OldAccessLives) {
		t.Error("Policy.OldAccessDies, OldAccessLives: nothing refreshes or renews an access token of this provider")
	}
	if d.Policy.OldAccessDies && d.Policy.OldAccessLives {
		t.Error("Policy.OldAccessDies and OldAccessLives contradict one another; set neither where nobody knows")
	}
	if d.LoginGuide != (len(d.Logins) > 0) {
		t.Errorf("Description.Logins is %v; it lists the shapes of a sdk.LoginGuide, and only of one", d.Logins)
	}
	for _, shape := range d.Logins {
		if !slices.Contains(shapes, shape) {
			t.Errorf("Description.Logins has the unknown shape %q", shape)
		}
	}
	if d.KeepaliveEvery < 0 || d.Keepalive != (d.KeepaliveEvery > 0) {
		t.Errorf("Description.KeepaliveEvery is %s; it is set for a sdk.Keepalive, and only for one", d.KeepaliveEvery)
	}
	if d.KeepaliveEvery > 0 && d.KeepaliveEvery < sdk.LeastKeepalive {
		t.Errorf("Description.KeepaliveEvery is %s, and no call comes more often than every %s", d.KeepaliveEvery, sdk.LeastKeepalive)
	}
	if !slices.Contains([]sdk.Repeat{"", sdk.RepeatHarmless, sdk.RepeatReplaces, sdk.RepeatLimited}, d.Repeat) || d.Repeat != "" && !d.Minter {
		t.Errorf("Description.Repeat is %q; it is one of the Repeat… values, for a sdk.Minter", d.Repeat)
	}
	if !slices.Contains([]sdk.RevokeScope{"", sdk.RevokesToken, sdk.RevokesGrant, sdk.RevokesClient}, d.Revokes) || d.Revokes != "" && !d.Revoker {
		t.Errorf("Description.Revokes is %q; it is one of the Revokes… values, for a sdk.Revoker", d.Revokes)
	}
	if l := d.Limits; l.RequestsPerHour < 0 || l.FailedLoginsPerHour < 0 || l.LockedOutFor < 0 {
		t.Error("Description.Limits has a negative value")
	}
}
