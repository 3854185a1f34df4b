package leftover_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Where nobody can, or should, revoke the login of an account that is in no configuration,
// that is said, and everything stays.
func TestRevokeOfALeftAccountIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *house)
		says   string
	}{
		"still configured": {func(h *house) { h.Config.Accounts["old"] = h.Config.Accounts["new"] }, "is in the configuration tk.yaml: remove it from there"},
		"an open attempt": {func(h *house) {
			must(t, h.Store.Intend(t.Context(), store.Intent{Account: "old", Attempt: "open", Version: 1, Kind: spool.KindRefresh}))
		}, "nobody knows whether an attempt that is not settled has used up its token"},
		"the same login under another name": {func(h *house) { must(t, h.Store.Commit(t.Context(), record("new"))) }, "account new has the same login by now"},
		"a client that nobody knows": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake", ClientID: "another"}
		}, "no account of the configuration has the client to which its login was granted"},
		"another server": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake", ClientID: "client-1234", Settings: map[string]string{"token_url": "https://other.example/t"}}
		}, "and then: tokenkeeper revoke old"},
		"no provider": {func(h *house) {
			h.Keeper = func(string) (*refresh.Keeper, bool) { return nil, false }
		}, "nobody keeps accounts of provider fake now"},
		"no process": {func(*house) {}, "see: tokenkeeper status"},
		"no process of the same server, spelled otherwise": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake", ClientID: "client-1234", Settings: map[string]string{"token_url": "https://Broker.EXAMPLE:443/t"}}
		}, "see: tokenkeeper status"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			k, _ := h.KeeperOf("new")
			h.Keeper = func(string) (*refresh.Keeper, bool) { return k, true }
			c.change(h)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // for a process
			defer cancel()
			at, err := h.Revoke(ctx, "old", event.Caller{})
			if err == nil || !strings.Contains(err.Error(), c.says) || !at.IsZero() {
				t.Errorf("%v, %v", at, err)
			}
			if rec, err := h.Store.Load(t.Context(), "old"); err != nil || rec.Health != (store.Health{}) {
				t.Errorf("%+v, %v", rec.Health, err)
			}
		})
	}
}

// What lives no more need not be revoked.
func TestRevokeOfALoginThatIsOver(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	for name, h := range map[string]store.Health{
		"revoked": {Revoked: at, NeedsLogin: sdk.NewSecret("refresh").Fingerprint()},
		"refused": {NeedsLogin: sdk.NewSecret("refresh").Fingerprint()},
	} {
		house := newHouse(t)
		must(t, house.Store.Abandon(t.Context(), "old", "", store.Basis{Version: 1}, h))
		if got, err := house.Revoke(t.Context(), "old", event.Caller{}); err != nil || !got.Equal(h.Revoked) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := house.Forget(t.Context(), "old"); err != nil || got.HadLogin || !got.Revoked.Equal(h.Revoked) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got, err := house.Revoke(t.Context(), "old", event.Caller{}); err != nil || !got.IsZero() {
			t.Errorf("%s, forgotten: %v, %v", name, got, err)
		}
		if _, err := house.Store.Load(t.Context(), "old"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
