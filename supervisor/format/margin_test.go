package format

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// What a format writes of the access token's end, as configs/reference.yaml says:
// the moment itself, cut to whole seconds, or a minute before it.
func TestExpiryThatEachFormatWrites(t *testing.T) {
	end := time.Date(2026, 9, 14, 14, 50, 0, 900e6, time.UTC)
	d := Document{AccessToken: sdk.NewSecret("an-access-token"), IssuedAt: end.Add(-20 * time.Minute), Expiry: end}
	want := map[string]string{
		JSON: `"expires_at": 1789397400`, Schwab: `"expires_at": 1789397400`, SchwabPy: `"expires_at": 1789397400`,
		SaxoCache: `"token_expiry": "2026-09-14T14:49:00.900000"`,
	}
	for _, name := range Names() {
		b, err := Encode(name, d, Options{Location: time.UTC})
		if err != nil || want[name] == "" || !strings.Contains(string(b), want[name]) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, want[name], b)
		}
	}
}
