package providertest

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// testRotation: Policy.Rotates is what the answers say. Forgotten, a lost answer is
// called harmless and a refresh token that is spent is sent once more, which can end
// the login; set where nothing is replaced, people are alarmed for nothing.
func testRotation(t *testing.T, s trial) {
	if s.way != refreshes {
		t.Skip("there is no refresh token that could be replaced")
	}
	d, err := s.fresh(t).Describe(call(t))
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	answers := map[string]string{"a new one": newRefresh}
	if s.words.KeepsRefreshToken {
		answers = map[string]string{"none": "", "the same": oldRefresh}
	}
	for what, refresh := range answers {
		b := s.newBroker(t, s.grant(s.access(newAccess), refresh))
		token, err := s.fresh(t).Refresh(call(t), s.request("one", b))
		if err != nil {
			t.Fatalf("a refresh whose answer holds %s: %v", what, err)
		}
		switch replaced := !token.RefreshToken.IsZero() && !token.RefreshToken.Equal(sdk.NewSecret(oldRefresh)); {
		case replaced && s.words.KeepsRefreshToken:
			t.Errorf("the answer holds %s, and the provider gives another refresh token", what)
		case replaced && !d.Policy.Rotates:
			t.Error("the broker's answer replaces the refresh token, and Policy.Rotates is not set: after a lost answer the spent one would be sent again. " +
				"Only if the broker documents that it leaves the refresh token as it is, set Broker.KeepsRefreshToken in the suite")
		case s.words.KeepsRefreshToken && d.Policy.Rotates:
			t.Errorf("the answer holds %s, and Policy.Rotates is set: each lost answer would alarm people for nothing", what)
		}
	}
}
