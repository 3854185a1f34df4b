package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A file is told to be closed to others only where the service could still read it then:
// its user is whose the state directory is.
func TestFilesAreClosedToOthersByTheirOwner(t *testing.T) {
	usertest.NeedsRoot(t)
	const us, other = 0, usertest.Stranger
	for name, tt := range map[string]struct {
		owner, service int // -1: there is no state directory yet
		offered        bool
	}{
		"root's, for a service of root":          {us, us, true},
		"root's, for another user":               {us, other, false},
		"the service's":                          {other, other, true},
		"another user's, for a service of root":  {other, us, false},
		"root's, before the service's first run": {us, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, loose, state := filepath.Join(dir, "tokenkeeper.yaml"), filepath.Join(dir, "loose"), filepath.Join(dir, "state")
			write(t, file, account+"heartbeat: {url: \"https://h/x\"}\nsinks:\n  h: {type: webhook, url: \"https://h\", secret: \"${file:loose}\"}\n", 0o644)
			write(t, loose, "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", 0o644)
			for _, path := range []string{file, loose} {
				if err := os.Chown(path, tt.owner, -1); err != nil {
					t.Fatal(err)
				}
			}
			if tt.service >= 0 {
				if err := os.Mkdir(state, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(state, tt.service, -1); err != nil {
					t.Fatal(err)
				}
			}
			_, warnings := load(t, config.Source{Path: file, Sinks: config.TestSinks, Environ: environ("STATE_DIRECTORY=" + state)})
			seen := 0
			for _, w := range warnings {
				if w.Key != "heartbeat.url" && w.Key != "sinks.h.secret" {
					continue
				}
				seen++
				credential := strings.Contains(w.Hint, "${file:${env:CREDENTIALS_DIRECTORY}/NAME} with the line LoadCredential=NAME:PATH")
				if offered := strings.HasPrefix(w.Hint, "chmod 600 "); offered != tt.offered || credential == tt.offered {
					t.Errorf("%s", w)
				}
			}
			if seen != 2 {
				t.Errorf("%d of 2 warnings: %v", seen, warnings)
			}
		})
	}
}
