package refresh_test

import (
	"maps"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A change of anything that a mint presents is another key, and nothing else is.
func TestKeyIsAllThatAMintPresents(t *testing.T) {
	account := func(change func(*sdk.Account)) string {
		a := sdk.Account{Name: "main", ClientID: "me", ClientSecret: sdk.NewSecret("s"), Scopes: []string{"read", "trade"},
			Settings: map[string]string{"pin": "1234", "user": "u"}}
		a.Settings = maps.Clone(a.Settings)
		change(&a)
		return refresh.KeyOf(a)
	}
	same := account(func(*sdk.Account) {})
	seen := map[string]string{same: "as it is"}
	for name, change := range map[string]func(*sdk.Account){
		"client_id":            func(a *sdk.Account) { a.ClientID = "you" },
		"client_secret":        func(a *sdk.Account) { a.ClientSecret = sdk.NewSecret("t") },
		"a scope less":         func(a *sdk.Account) { a.Scopes = a.Scopes[:1] },
		"two scopes in one":    func(a *sdk.Account) { a.Scopes = []string{"read trade"} },
		"no scopes":            func(a *sdk.Account) { a.Scopes = nil },
		"a setting":            func(a *sdk.Account) { a.Settings["pin"] = "4321" },
		"a setting less":       func(a *sdk.Account) { delete(a.Settings, "user") },
		"scopes for a setting": func(a *sdk.Account) { a.Scopes = append(a.Scopes, "user", "u"); delete(a.Settings, "user") },
	} {
		key := account(change)
		if other, twice := seen[key]; twice || len(key) != 16 {
			t.Errorf("%s: the same key %q as %s", name, key, other)
		}
		seen[key] = name
	}
	a := sdk.Account{Name: "main", ClientID: "me", ClientSecret: sdk.NewSecret("s")}
	if refresh.KeyOf(a) == refresh.KeyOf(a, sdk.NewSecret("t")) {
		t.Error("another secret of the client makes no other key")
	}
	if key := account(func(a *sdk.Account) { a.Name, a.RedirectURL = "another", "https://127.0.0.1/" }); key != same {
		t.Error("what no mint presents makes another key")
	}
}
