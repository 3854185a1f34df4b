package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A client has one secret, or several in the order in which they are tried.
func TestClientSecrets(t *testing.T) {
	for name, tt := range map[string]struct{ yaml, entry, want string }{
		"none":                   {"", "", `"" []`},
		"one":                    {", client_secret: '${env:A}'", "", `"a" []`},
		"a list of one":          {", client_secret: ['${env:A}']", "", `"a" []`},
		"several":                {", client_secret: ['${env:B}', '${env:A}', '${file:c}']", "", `"b" ["a" "c"]`},
		"an empty list":          {", client_secret: []", "", `"" []`},
		"one of the environment": {", client_secret: ['${env:B}', '${env:A}']", "TOKENKEEPER_ACCOUNTS__A__CLIENT_SECRET=x, y", `"x, y" []`},
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, "accounts:\n  a: {provider: saxo, client_id: id"+tt.yaml+"}\n", "A=a", "B=b", tt.entry)
			write(t, filepath.Join(src.Dir, "c"), "c\n", 0o600)
			cfg, _ := load(t, src)
			a := cfg.Accounts["a"]
			others := []string{}
			for _, s := range a.OtherSecrets {
				others = append(others, s.Reveal())
			}
			if got := fmt.Sprintf("%q %q", a.ClientSecret.Reveal(), others); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	const at = "tokenkeeper.yaml:2:"
	for name, tt := range map[string]struct{ list, want string }{
		"twice":     {"['${env:A}', '${env:A}']", "item 2: is the same secret as another one of the list; leave one of them out"},
		"empty":     {"['${env:A}', '']", "item 2: is empty; leave it out, or write a secret"},
		"unset":     {"['${env:A}', '${env:GONE}']", "GONE"},
		"a mapping": {"{a: b}", "wrong type: this must be text, or a list of it, not a mapping"},
		"no value":  {"", "has no value"},
	} {
		_, _, err := config.Load(source(t, "accounts:\n  a: {provider: saxo, client_id: id, client_secret: "+tt.list+"}\n", "A=a"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), at) || !strings.Contains(err.Error(), "accounts.a.client_secret") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	_, warnings := load(t, source(t, "accounts:\n  a: {provider: saxo, client_id: id, client_secret: ['${env:A}', canary]}\n", "A=a"))
	if all := fmt.Sprint(warnings); strings.Contains(all, "canary") {
		t.Errorf("a secret in: %s", all)
	}
}
