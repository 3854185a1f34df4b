package supervisor

import (
	"log/slog"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What was begun for an account that is not configured any more is dropped at the
// start, and nothing else.
func TestStrayLoginsAreDropped(t *testing.T) {
	dir := t.TempDir() + "/state"
	kept, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	for _, name := range []string{"gone", "here"} {
		if err := kept.PutLogin(t.Context(), store.Login{Account: name, State: "s", At: time.Now(), Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config.Config{Accounts: map[string]config.Account{"here": {}}}
	if err := dropStrayLogins(t.Context(), cfg, kept, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if all, err := kept.Logins(t.Context()); err != nil || len(all) != 1 || all[0].Account != "here" {
		t.Errorf("%+v, %v", all, err)
	}
}
