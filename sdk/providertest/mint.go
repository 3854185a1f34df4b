package providertest

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// testMintNeedsNoToken: the first token of an account comes from a mint, too, and so
// does the next one when the last is dead and forgotten.
func testMintNeedsNoToken(t *testing.T, s trial) {
	if s.way != mints {
		t.Skip("no sdk.Minter")
	}
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	req := s.request("one", b)
	req.Attempt.Version, req.Token = 0, sdk.Token{}
	a, err := s.answer(call(t), s.fresh(t).Remote, req)
	if err != nil {
		t.Fatalf("a mint of an account that has no token: %v", err)
	}
	s.wantToken(t, a.Token, s.access(newAccess), newRefresh)
	b.wantPosts(t, 1)
}
