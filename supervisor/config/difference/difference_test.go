package difference_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// load reads a configuration in dir, as run does.
func load(t interface {
	Helper()
	Fatalf(string, ...any)
}, dir, yaml string, environ ...string) *config.Config {
	t.Helper()
	return loadOf(t, types.Config(), dir, yaml, environ...)
}

// loadOf is load with sinks of these types.
func loadOf(t interface {
	Helper()
	Fatalf(string, ...any)
}, sinks config.SinkTypes, dir, yaml string, environ ...string) *config.Config {
	t.Helper()
	cfg, _, err := config.Load(config.Source{
		Bytes: []byte(yaml), Name: "tokenkeeper.yaml", Dir: dir, Sinks: sinks, Comparable: true,
		KnownProviders: func(string) []string { return []string{"schwab", "saxo", "other"} }, KnownSinks: func(string) []string { return []string{"redis"} },
		Environ: func() []string { return append([]string{"STATE_DIRECTORY=/var/lib/tokenkeeper"}, environ...) },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	return cfg
}

func TestBetween(t *testing.T) {
	const two = `accounts:
  main: {provider: schwab, client_id: "${env:ID}", client_secret: "${file:secret}", settings: {token_url: "https://a.example"}}
  live: {provider: saxo, client_id: "${env:ID}"}
sinks:
  hook: {type: webhook, url: "https://a.example", secret: whsec_MTIz, headers: {X-Key: canary-1}}
`
	type tt struct {
		was, is string
		env     []string // of both
		secret  string   // what the file holds the second time
		want    difference.Difference
		words   string
	}
	changed := func(name string, keys ...string) difference.Section {
		return difference.Section{Changed: []difference.Change{{Name: name, Keys: keys}}}
	}
	with := func(old, with string) string {
		if !strings.Contains(two, old) {
			t.Fatalf("%s is not there", old)
		}
		return strings.Replace(two, old, with, 1)
	}
	for name, tt := range map[string]tt{
		"nothing": {is: two},
		"a remark, and other lines": {
			is: "# a remark\n" + with("{provider: saxo, client_id: \"${env:ID}\"}", "\n    client_id: ${env:ID}\n    provider: saxo"),
		},
		"what is so anyway": {is: with("{provider: saxo,", "{provider: saxo, refresh: {timeout: 30s, jitter: 10s}, scopes: [],") +
			"log: {level: info}\nstate_dir: /var/lib/tokenkeeper\ncontrol: {socket: /var/lib/tokenkeeper/control.sock}\n" +
			"providers: {saxo: {max_in_flight: 4}, other: {max_in_flight: 4}}\n"},
		"an account more, and one less": {
			is: with("  live:", "  demo:"),
			want: difference.Difference{
				Accounts: difference.Section{Added: []string{"demo"}, Removed: []string{"live"}},
			},
			words: "account demo is new; account live is gone",
		},
		"the first account of a provider, and the last": {
			is: with("provider: saxo", "provider: other"),
			want: difference.Difference{
				Accounts:  changed("live", "provider"),
				Providers: difference.Section{Added: []string{"other"}, Removed: []string{"saxo"}},
			},
			words: "account live changed (provider); provider other is new; provider saxo is gone",
		},
		"a secret in a file": {
			is: two, secret: "canary-2",
			want:  difference.Difference{Accounts: changed("main", "client_secret")},
			words: "account main changed (client_secret)",
		},
		"a secret in the environment": {
			is: two, env: []string{"ID=canary-2"},
			want: difference.Difference{Accounts: difference.Section{Changed: []difference.Change{
				{Name: "live", Keys: []string{"client_id"}}, {Name: "main", Keys: []string{"client_id"}}}}},
			words: "account live changed (client_id); account main changed (client_id)",
		},
		"the same secret elsewhere": {is: with("${file:secret}", "canary-1")},
		"settings of an account and of a provider": {
			is: with("https://a.example", "https://b.example") + "providers: {saxo: {settings: {environment: sim}, command: [/bin/saxo]}}\n",
			want: difference.Difference{
				Accounts:  changed("main", "settings.token_url"),
				Providers: changed("saxo", "command", "settings.environment"),
			},
			words: "account main changed (settings.token_url); provider saxo changed (command, settings.environment)",
		},
		"a provider that nobody uses": {is: two + "providers: {other: {command: [/bin/other]}}\n"},
		"a sink": {
			is:    with("canary-1", "canary-2"),
			want:  difference.Difference{Sinks: changed("hook", "headers.X-Key")},
			words: "sink hook changed (headers.X-Key)",
		},
		"a sink of another type": {
			is: with(`{type: webhook, url: "https://a.example", secret: whsec_MTIz, headers: {X-Key: canary-1}}`, "{type: file, path: \"{account}.json\", format: json, events: [token]}"),
			want: difference.Difference{
				Sinks: changed("hook", "headers.X-Key", "path", "secret", "type", "url"),
			},
			words: "sink hook changed (headers.X-Key, path, secret and 2 more)",
		},
		"the rest": {
			is: two + "state_dir: /srv/tk\ncontrol: {socket: /run/tk.sock}\nalerts: {repeat: 1h}\nlog: {level: debug}\n",
			want: difference.Difference{
				Keys: []string{"alerts.repeat"}, Fixed: []string{"control.socket", "log.level", "state_dir"},
			},
			words: "control.socket, log.level, state_dir, alerts.repeat changed",
		},
		"maintenance": {
			was: two + "providers: {saxo: {maintenance: [{days: [sat], from: \"02:00\", to: \"06:00\", zone: UTC}]}}\n",
			is:  two + "providers: {saxo: {maintenance: [{days: [sun], from: \"02:00\", to: \"06:00\", zone: UTC}]}}\n",
			want: difference.Difference{
				Providers: changed("saxo", "maintenance"),
			},
			words: "provider saxo changed (maintenance)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			secret := func(text string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			secret("canary-1")
			if tt.was == "" {
				tt.was = two
			}
			was := load(t, dir, tt.was, "ID=canary-1")
			if tt.secret != "" {
				secret(tt.secret)
			}
			if tt.env == nil {
				tt.env = []string{"ID=canary-1"}
			}
			d := difference.Between(was, load(t, dir, tt.is, tt.env...))
			if !reflect.DeepEqual(d, tt.want) || d.String() != tt.words || d.IsZero() != (tt.words == "") {
				t.Errorf("%+v\n%s", d, d)
			}
			text, err := json.Marshal(d)
			if err != nil || strings.Contains(string(text)+fmt.Sprintf("%+v %#v", d, was.Digest()), "canary") {
				t.Errorf("%s, %v: a secret is shown", text, err)
			}
			if (string(text) == "{}") != d.IsZero() {
				t.Errorf("in JSON %s", text)
			}
		})
	}
}

// The words do not grow with the difference.
func TestManyDifferences(t *testing.T) {
	of := func(first, n int, secret string) string {
		var b strings.Builder
		b.WriteString("accounts:\n")
		for i := first; i < first+n; i++ {
			fmt.Fprintf(&b, "  a%03d: {provider: schwab, client_id: id, client_secret: %s}\n", i, secret)
		}
		return b.String()
	}
	dir := t.TempDir()
	d := difference.Between(load(t, dir, of(0, 200, "s")), load(t, dir, of(100, 200, "t")))
	const want = "accounts a200, a201, a202 and 97 more are new; accounts a000, a001, a002 and 97 more are gone; " +
		"accounts a100, a101, a102 and 97 more changed"
	if d.String() != want {
		t.Errorf("got  %s\nwant %s", d, want)
	}
}

// A configuration that was not to be compared keeps nothing of its secrets, not even as
// digests.
func TestOnlyTheComparableAreKept(t *testing.T) {
	cfg, _, err := config.Load(config.Source{
		Bytes:   []byte("accounts: {a: {provider: schwab, client_id: id, client_secret: s}}\n"),
		Environ: func() []string { return []string{"HOME=/root"} },
	})
	if err != nil || !reflect.DeepEqual(cfg.Digest(), config.Digest{}) {
		t.Errorf("%v, %v", cfg.Digest(), err)
	}
}
