package importing

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// keeperOf keeps account main at a provider that says that of itself; nil: it has
// not been asked.
func keeperOf(t *testing.T, d *sdk.Description) *refresh.Keeper {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	k, err := refresh.NewKeeper(t.Context(), refresh.Config{
		Provider: "fake", Accounts: []refresh.Account{{Account: sdk.Account{Name: "main"}}}, Store: store.NewMemory(),
		Wake: func(string) {}, Events: event.NewBus(log, time.Now), Log: log, Wall: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if d != nil {
		k.Meet(*d)
	}
	return k
}

// What is no token of the account's is refused.
func TestWhatIsNotImported(t *testing.T) {
	cfg := &config.Config{Accounts: map[string]config.Account{"main": {ClientID: "ours-1234"}, "other": {}}}
	refreshes, renews := &sdk.Description{}, &sdk.Description{NoRefresh: true, Renewer: true}
	for name, c := range map[string]struct {
		provider           *sdk.Description
		format, body, says string
	}{
		"no refresh token":    {refreshes, format.JSON, `{"access_token": "a"}`, "no refresh token, so nothing could be kept alive"},
		"a blank one":         {refreshes, format.JSON, `{"access_token": "a", "refresh_token": " \n"}`, "no refresh token"},
		"nobody knows":        {nil, format.JSON, `{"access_token": "a"}`, "no refresh token, and its provider, which may do without one, has not said so"},
		"no access token":     {renews, format.JSON, `{"refresh_token": "r"}`, "no access token"},
		"another app's":       {nil, format.SaxoCache, `{"access_token": "a", "refresh_token": "r", "app_key": "theirs-99"}`, "begins with thei, client_id with ours"},
		"another account's":   {nil, format.JSON, `{"account": "other", "access_token": "a", "refresh_token": "r"}`, "import it there"},
		"nothing of a format": {nil, format.JSON, `[]`, "read the token file"},
	} {
		_, err := Into(t.Context(), keeperOf(t, c.provider), cfg, control.ImportRequest{Account: "main", Format: c.format, Body: []byte(c.body)})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "account main") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An access token alone is taken where the provider can use it.
func TestAccessTokenAloneIsImported(t *testing.T) {
	cfg := &config.Config{Accounts: map[string]config.Account{"main": {}}}
	for name, d := range map[string]sdk.Description{"renews": {NoRefresh: true, Renewer: true}, "by a login": {NoRefresh: true}} {
		k := keeperOf(t, &d)
		got, err := Into(t.Context(), k, cfg, control.ImportRequest{
			Account: "main", Format: format.JSON, Body: []byte(`{"access_token": "a", "expires_in": 3600}`),
		})
		if err != nil || got.Version != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if s, _ := k.Status("main"); s.State == refresh.NeedsLogin {
			t.Errorf("%s: %s", name, s.State)
		}
	}
}

// A file of our own format says when its refresh token dies, where the provider does
// not: the last refresh comes before that.
func TestEndOfTheRefreshTokenIsImported(t *testing.T) {
	cfg := &config.Config{Accounts: map[string]config.Account{"main": {}}}
	end := time.Now().Add(20 * time.Minute).Truncate(time.Second)
	k := keeperOf(t, &sdk.Description{})
	body := fmt.Appendf(nil, `{"access_token": "a", "refresh_token": "r", "expires_in": 3600, "refresh_expires_at": %d}`, end.Unix())
	got, err := Into(t.Context(), k, cfg, control.ImportRequest{Account: "main", Format: format.JSON, Body: body})
	if err != nil || !got.RefreshExpiry.Equal(end) || got.RefreshExpiryUnknown {
		t.Errorf("it dies %s, want %s (%v)", got.RefreshExpiry, end, err)
	}
	if s, _ := k.Status("main"); !s.Due.Before(end) || s.EndMoves || !s.Record.RefreshExpiry.Equal(end) {
		t.Errorf("due %s, and it dies %s (moves: %t)", s.Due, s.Record.RefreshExpiry, s.EndMoves)
	}
}
