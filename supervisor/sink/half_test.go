package sink

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestARefreshTokenAloneIsNotDeliverable(t *testing.T) {
	rec := store.Record{Account: "one", Version: 1, Token: sdk.Token{RefreshToken: sdk.NewSecret("r")}}
	if deliverable(rec) {
		t.Error("a record without an access token would be delivered")
	}
	if rec.Token.AccessToken = sdk.NewSecret("a"); !deliverable(rec) {
		t.Error("a record with an access token would not be delivered")
	}
}
