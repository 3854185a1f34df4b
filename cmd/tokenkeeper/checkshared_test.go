package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A bot elsewhere has written its local time into the file of a sink.
func TestCheckNamesTheZoneOfASinksFile(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	for off, want := range map[time.Duration]string{0: "", 9 * time.Hour: "9h0m0s ahead of", -9 * time.Hour: "9h0m0s behind"} {
		w := newWorld(t, `accounts:
  a: {provider: saxo, client_id: id, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "http://localhost/callback"}
sinks:
  cache: {type: file, path: cache.json, format: saxo-cache, timezone: UTC, include_refresh_token: true}
`)
		file := filepath.Join(w.dir, "cache.json")
		expiry := now.Add(20*time.Minute + off).Format("2006-01-02T15:04:05.000000")
		write(t, file, fmt.Sprintf(`{"access_token": "at", "refresh_token": "rt", "token_expiry": %q}`, expiry))
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
		r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
		var got []finding
		for _, f := range r.Warnings {
			if strings.Contains(f.Message, "local times") {
				got = append(got, f)
			}
		}
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("in the right zone: %+v", got)
		case want != "" && (len(got) != 1 || got[0].Key != "sinks.cache.timezone" || got[0].Line == 0 ||
			!strings.HasPrefix(got[0].Message, file+": ") || !strings.Contains(got[0].Message, want)):
			t.Errorf("%s off: %+v", off, r.Warnings)
		}
	}
}
