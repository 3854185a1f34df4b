package restore

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestUnfit(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dead := store.Record{
		Account: "main", Version: 4, Fingerprints: []string{sdk.NewSecret("older").Fingerprint()},
		Token: sdk.Token{AccessToken: sdk.NewSecret("a-dead"), RefreshToken: sdk.NewSecret("dead"), IssuedAt: now.Add(-time.Hour), Lifetime: 20 * time.Minute},
	}
	good := format.Document{
		Account: "main", Provider: "saxo", AccessToken: sdk.NewSecret("a-new"), RefreshToken: sdk.NewSecret("new"), Expiry: now.Add(-30 * time.Minute), RefreshExpiry: now.Add(time.Hour),
	}
	for name, c := range map[string]struct {
		rec    store.Record
		change func(*format.Document)
		want   string // "": it is fit
		alive  bool
	}{
		"newer": {rec: dead, change: func(*format.Document) {}},
		"newer access token of a grant that is only doubted": {dead, func(d *format.Document) { d.RefreshToken = sdk.NewSecret("dead") }, "", true},
		"older access token of a grant that is only doubted": {dead, func(d *format.Document) {
			d.RefreshToken, d.Expiry = sdk.NewSecret("dead"), now.Add(-24*time.Hour)
		}, "not newer", true},
		"for an empty store":      {store.Record{}, func(d *format.Document) { d.Expiry = now.Add(-24 * time.Hour) }, "", false},
		"names nobody":            {dead, func(d *format.Document) { d.Account, d.Provider = "", "" }, "", false},
		"the dead one":            {dead, func(d *format.Document) { d.RefreshToken = sdk.NewSecret("dead") }, "that one is dead", false},
		"one before":              {dead, func(d *format.Document) { d.RefreshToken = sdk.NewSecret("older") }, "an older refresh token", false},
		"unknown, not newer":      {dead, func(d *format.Document) { d.Expiry = dead.Token.Expiry() }, "not newer", false},
		"another account's":       {dead, func(d *format.Document) { d.Account = "other" }, "account main is of account other", false},
		"another provider's":      {dead, func(d *format.Document) { d.Provider = "schwab" }, "of provider schwab", false},
		"without a refresh token": {dead, func(d *format.Document) { d.RefreshToken = sdk.Secret{} }, "include_refresh_token", false},
		"over":                    {dead, func(d *format.Document) { d.RefreshExpiry = now }, "died", false},
	} {
		d := good
		c.change(&d)
		got := unfit(lineage.Ours{Account: "main", Provider: "saxo", Record: c.rec}, d, now, c.alive)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	renamed := lineage.Ours{Account: "main", Provider: "saxo", Left: func(string) string { return "old" }}
	if got, want := unfit(renamed, good, now, false), "tokenkeeper accounts rename old main"; !strings.Contains(got, want) {
		t.Errorf("of an account in no configuration: %q, want %q", got, want)
	}
}

func TestDecodeRestored(t *testing.T) {
	doc := format.Document{
		AccessToken: sdk.NewSecret("canary-access"), RefreshToken: sdk.NewSecret("canary-refresh"),
		IssuedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Expiry: time.Date(2026, 3, 1, 12, 20, 0, 0, time.UTC),
	}
	for _, written := range format.Names() {
		zone, err := time.LoadLocation("Pacific/Auckland")
		if err != nil {
			t.Fatal(err)
		}
		body, err := format.Encode(written, doc, format.Options{Location: zone})
		if err != nil {
			t.Fatal(err)
		}
		for _, configured := range append(format.Names(), "", format.Raw, format.TemplateName) {
			d, err := sink.Decode(config.Content{Format: configured, Timezone: "Pacific/Auckland"}, body)
			if err != nil || d.RefreshToken.Reveal() != "canary-refresh" {
				t.Errorf("%s, now configured as %q: %v", written, configured, err)
			}
			if configured == written && !d.Expiry.Equal(doc.Expiry) {
				t.Errorf("%s: expires %s, want %s", written, d.Expiry, doc.Expiry)
			}
		}
	}
	for _, body := range []string{"", "canary-refresh", "ACCESS_TOKEN=canary-refresh", `["canary-refresh"]`, `{"secret":"canary-refresh"}`} {
		if _, err := sink.Decode(config.Content{Format: format.JSON}, []byte(body)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", body, err)
		}
	}
}
