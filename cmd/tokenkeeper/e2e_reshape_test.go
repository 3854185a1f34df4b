package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestReloadReshapesWhatASinkHas: whoever changes how a sink's file is written need not wait
// for the next token: the one that is there is written so at once, also where the file is
// the place of a refresh token, which is looked at before. A sink that is left alone gets
// nothing.
func TestReloadReshapesWhatASinkHas(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	path := s.path("more.json")
	yaml := func(keys string) string {
		return bothYAML(schwab, saxo, "before_expiry: 5m") + fmt.Sprintf("  more: {type: file, path: %q, accounts: [%s]%s}\n", path, saxoAccount, keys)
	}
	reload := func(keys string) {
		t.Helper()
		s.configure(t, yaml(keys))
		if got := s.tool(t, "", "reload"); got.code != exitOK {
			t.Fatalf("%s: exit code %d\n%s%s", keys, got.code, got.stdout, got.stderr)
		}
	}
	reload("")
	r.deliveredTo(saxoAccount, "more", 1)
	before := written(t, s.path(saxoAccount+".json"))
	for _, next := range []struct {
		keys        string
		holds, bare string // what the file holds, and what not
		mode        os.FileMode
	}{
		{", include_refresh_token: true", `"refresh_token"`, "nothing of this", 0o600},
		{", include_refresh_token: true, format: schwab", `"creation_timestamp"`, `"token_type": "Bearer",`, 0o600},
		{", include_refresh_token: true, format: json", `"expires_at"`, "nothing of this", 0o600},
		{", mode: \"0400\"", `"access_token"`, `"refresh_token"`, 0o400},
		{", format: env", "ACCESS_TOKEN=", `"access_token"`, 0o400},
		{", format: raw", "", "ACCESS_TOKEN", 0o400},
		{"", `"access_token"`, `"refresh_token"`, 0o400},
	} {
		reload(next.keys)
		waittest.Until(t, "the file as"+next.keys, func() bool {
			text, err := os.ReadFile(path)
			info, serr := os.Stat(path)
			return err == nil && serr == nil && info.Mode().Perm() == next.mode &&
				strings.Contains(string(text), next.holds) && !strings.Contains(string(text), next.bare)
		})
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
			t.Errorf("%s: it left %q", next.keys, left)
		}
	}
	if after := written(t, s.path(saxoAccount+".json")); !after.Equal(before) {
		t.Errorf("a sink that was not changed was delivered to at %s, and then at %s", before, after)
	}
	if n := saxo.Account(saxoAccount).Posts; n != 0 {
		t.Errorf("%d requests", n)
	}
	r.Stop()

	// Over a restart, too.
	s.configure(t, yaml(", format: saxo-cache"))
	r = startRun(t, s)
	waittest.Until(t, "the file in another format", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), `"token_expiry"`)
	})
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	r.Stop()
}
