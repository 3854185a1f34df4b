package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
)

// A file keeps its mode; one that everybody can read is told of, until mode says
// that it is meant so.
func TestWideFileIsToldOf(t *testing.T) {
	for name, tt := range map[string]struct {
		mode  os.FileMode
		more  string
		warns bool
	}{
		"its group reads it":                {0o640, "include_refresh_token: true", false},
		"everybody reads it":                {0o644, "include_refresh_token: true", true},
		"everybody reads an access token":   {0o644, "include_refresh_token: false", false},
		"a mode says that it shall be less": {0o644, `include_refresh_token: true, mode: "0640"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.json")
			if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			c := filepath.Join(dir, "c.yaml")
			write(t, c, fmt.Sprintf("state_dir: state\n%ssinks:\n  f: {type: file, path: %q, %s}\n",
				"accounts:\n  a: {provider: saxo, client_id: x, client_secret: \"${env:S}\", redirect_url: \"http://localhost/cb\"}\n",
				filepath.Join(dir, "{account}.json"), tt.more), 0o600)
			cfg, warnings, err := config.Load(config.Source{Path: c, Sinks: config.TestSinks, Environ: func() []string { return []string{"S=secret"} }})
			if err != nil {
				t.Fatal(err)
			}
			if warned := strings.Contains(fmt.Sprint(warnings), "has mode 0644, which it keeps"); warned != tt.warns {
				t.Errorf("the warnings are: %v", warnings)
			}
			if want := os.FileMode(0); !strings.Contains(tt.more, "mode") && cfg.Sinks["f"].Destination.(*file.Settings).Mode != want {
				t.Errorf("the mode is %o: it would be put on a file that is there", cfg.Sinks["f"].Destination.(*file.Settings).Mode)
			}
		})
	}
}
