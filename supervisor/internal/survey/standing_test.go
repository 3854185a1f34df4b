package survey

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A line names those who are not well, the worst first, and counts the others.
func TestStanding(t *testing.T) {
	s := crowded(t, 8)
	if got, want := s.Standing(), "no token yet: customer-000000, customer-000002, customer-000004 and 5 more; valid: 0 of 8"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	take := func(account string, age time.Duration) {
		t.Helper()
		k := s.cfg.Roster.Now().Keepers[s.cfg.Roster.Now().Config.Accounts[account].Provider]
		if _, err := k.Import(t.Context(), store.Record{Account: account, LoginAt: time.Now(), Token: sdk.Token{
			RefreshToken: sdk.NewSecret("r-" + account), AccessToken: sdk.NewSecret("a"), IssuedAt: time.Now().Add(-age), Lifetime: time.Hour,
		}}, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, account := range []string{"customer-000000", "customer-000001", "customer-000003", "customer-000004", "customer-000005", "customer-000006", "customer-000007"} {
		take(account, 0)
	}
	take("customer-000002", 2*time.Hour)
	if got, want := s.Standing(), "expired: customer-000002; valid: 7 of 8"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	well := crowded(t, 2)
	s = well
	take("customer-000000", 0)
	take("customer-000001", 0)
	if got, want := well.Standing(), "all 2 accounts are valid"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := well.Awaited(); got != "" {
		t.Errorf("with nothing under way a stop waits for %q", got)
	}
}
