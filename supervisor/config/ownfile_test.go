package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A secret that stands in an account's own shared file outlives the file's
// damage; one that stands anywhere else does not.
func TestReferenceIntoADamagedSharedFile(t *testing.T) {
	const whole = `{"app_key": "KEY", "app_secret": "CANARY", "note": 1}`
	for name, tt := range map[string]struct {
		content string // "-": there is no file
		file    string // that the references lead to; "": the shared file
		known   string
		key     string
		fails   bool
		warned  int
	}{
		"whole":                  {content: whole, known: whole},
		"gone":                   {content: "-", known: whole, warned: 2},
		"empty":                  {content: "", known: whole, warned: 2},
		"cut off":                {content: `{"app_key": "KE`, known: whole, warned: 2},
		"without the key":        {content: `{"note": 1}`, known: whole, warned: 2},
		"nothing is known":       {content: "", known: "", fails: true},
		"the key was never seen": {content: "", known: `{"note": 1}`, fails: true},
		"another file":           {content: "", file: "other.json", known: whole, fails: true},
		"as a whole":             {content: "", known: whole, key: "-", fails: true, warned: 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			shared := filepath.Join(dir, "tokens.json")
			if tt.content != "-" {
				if err := os.WriteFile(shared, []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ref := shared
			if tt.file != "" {
				ref = filepath.Join(dir, tt.file)
			}
			secret := "#app_secret"
			if tt.key != "" {
				secret = ""
			}
			cfg, warnings, err := config.Load(config.Source{
				Name: "test.yaml", Dir: dir, Environ: func() []string { return nil },
				Bytes: []byte(`state_dir: state
accounts:
  saxo-live:
    provider: saxo
    client_id: ${file:` + ref + `#app_key}
    client_secret: ${file:` + ref + secret + `}
    redirect_url: http://localhost/callback
    shared_file: {path: tokens.json, format: saxo-cache}
`),
				LastWhole: func(stateDir, account, path string) []byte {
					if stateDir != filepath.Join(dir, "state") || account != "saxo-live" || path != shared {
						t.Errorf("asked for %s, %s, %s", stateDir, account, path)
					}
					return []byte(tt.known)
				},
			})
			if (err != nil) != tt.fails {
				t.Fatalf("error %v", err)
			}
			warned := 0
			for _, w := range warnings {
				if strings.Contains(w.String(), "CANARY") {
					t.Errorf("a warning quotes the secret: %s", w)
				}
				if strings.Contains(w.Message, "when it was whole") {
					warned++
				}
			}
			if warned != tt.warned {
				t.Errorf("warned %d times: %v", warned, warnings)
			}
			if err == nil {
				if a := cfg.Accounts["saxo-live"]; a.ClientID != "KEY" || a.ClientSecret.Reveal() != "CANARY" {
					t.Errorf("client %q, %q", a.ClientID, a.ClientSecret.Reveal())
				}
			}
		})
	}
}
