package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// What a bot has noted in its token file outlives every delivery; a refresh
// token that the sink left there when it was told to does not outlive the day
// on which it is told not to. What can't be kept is no reason not to deliver.
func TestFileSinkKeepsWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	members := func(existing string, version uint64, refresh string, yaml string) map[string]any {
		t.Helper()
		if existing != "" {
			if err := os.WriteFile(path, []byte(existing), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, _, err := destination(t, configOf(t, dir, "type: file, path: f"+yaml))
		if err != nil {
			t.Fatal(err)
		}
		d := delivery(version)
		d.Document.RefreshToken = sdk.NewSecret(refresh)
		if err := s.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		return all
	}
	all := members(`{"note": {"by": "the bot"}, "access_token": "access-0"}`, 1, "R1", ", include_refresh_token: true")
	if all["note"] == nil || all["access_token"] != "access-1" || all["refresh_token"] != "R1" {
		t.Errorf("first: %v", all)
	}
	all = members("", 2, "", "")
	if _, left := all["refresh_token"]; left || all["note"] == nil || all["access_token"] != "access-2" {
		t.Errorf("then, without the refresh token: %v", all)
	}
	all = members("", 3, "", ", format: saxo-cache")
	if all["note"] == nil || all["access_token"] != "access-3" || all["token_expiry"] == nil {
		t.Errorf("in another format: %v", all)
	}
	for name, existing := range map[string]string{
		"cut off":   `{"note": {"by": "the`,
		"no object": `["note"]`,
		"too large": `{"note": "` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if all := members(existing, 4, "", ""); all["note"] != nil || all["access_token"] != "access-4" {
			t.Errorf("%s: %v", name, all)
		}
	}
}
