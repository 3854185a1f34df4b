package supervisor

import (
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// What is no token of the account's is refused before its keeper is asked, which
// is nobody here.
func TestWhatIsNotImported(t *testing.T) {
	cfg := &config.Config{Accounts: map[string]config.Account{"main": {ClientID: "ours-1234"}, "other": {}}}
	for name, c := range map[string]struct{ format, body, says string }{
		"no refresh token":    {format.JSON, `{"access_token": "a"}`, "no refresh token"},
		"a blank one":         {format.JSON, `{"access_token": "a", "refresh_token": " \n"}`, "no refresh token"},
		"another app's":       {format.SaxoCache, `{"access_token": "a", "refresh_token": "r", "app_key": "theirs-99"}`, "begins with thei, client_id with ours"},
		"another account's":   {format.JSON, `{"account": "other", "access_token": "a", "refresh_token": "r"}`, "import it there"},
		"nothing of a format": {format.JSON, `[]`, "read the token file"},
	} {
		_, err := importInto(t.Context(), nil, cfg, control.ImportRequest{Account: "main", Format: c.format, Body: []byte(c.body)})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "account main") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
