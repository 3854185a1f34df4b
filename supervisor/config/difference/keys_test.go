package difference_test

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// values are two of every key that there is, and what must be there. Nothing is the
// default.
var values = withSinks(map[string][2]any{
	"state_dir": {"/srv/one", "/srv/two"}, "fallback_dir": {"/mnt/one", "/mnt/two"}, "trust": {[]any{"0"}, []any{"0", "1"}}, "machine_guard": {"on", "off"}, "reload": {"watch", nil},
	"control.socket": {must("/run/one.sock"), must("/run/two.sock")}, "control.trust_folder": {true, nil},
	"control.readers": {
		[]any{map[string]any{"user": "1001", "accounts": []any{"a"}}},
		[]any{map[string]any{"group": "1001", "accounts": []any{"a"}}, map[string]any{"user": "1001", "group": "1002", "accounts": []any{"*"}}},
	},
	"log.level": {"debug", "warn"}, "log.format": {"json", nil}, "log.file": {"/var/one.log", "/var/two.log"}, "log.trust_folder": {true, nil},
	"log.max_megabytes": {1, 2}, "log.max_age": {"1h", "2h"}, "log.keep": {1, 2},
	"plugins.dir":   {"/opt/one", "/opt/two"},
	"alerts.repeat": {"1h", "2h"}, "alerts.login_due": {"1h", "0s"},

	"heartbeat.url": {must("https://one.example/${env:ONE}"), must("https://one.example/${env:TWO}")}, "heartbeat.every": {"1m", "2m"}, "heartbeat.on_failure": {"fail", nil},
	"heartbeat.timeout": {"1s", "2s"}, "heartbeat.ca_file": {"/ca/1", "/ca/2"}, "heartbeat.proxy": {"http://one.example:1", "none"},

	"metrics.listen": {must("127.0.0.1:1"), must("127.0.0.1:2")}, "metrics.tls.cert_file": {must("/cert/1"), must("/cert/2")}, "metrics.tls.key_file": {must("/key/1"), must("/key/2")},
	"metrics.insecure": {true, nil}, "metrics.token": {"0123456789abcdef", "0123456789abcde${env:ONE}"},

	"providers.schwab.command": {[]any{"/bin/one"}, []any{"/bin/one", "-v"}}, "providers.schwab.sha256": {strings.Repeat("1", 64), strings.Repeat("2", 64)},
	"providers.schwab.settings.x": {"1", "2"}, "providers.schwab.max_in_flight": {1, 2},
	"providers.schwab.maintenance": {
		[]any{map[string]any{"from": "02:00", "to": "06:00"}},
		[]any{map[string]any{"from": "02:00", "to": "06:00"}, map[string]any{"from": "08:00", "to": "09:00", "days": []any{"sat"}}},
	},

	"accounts.a.provider":  {must("schwab"), must("schwab")}, // another one is a case of TestBetween
	"accounts.a.client_id": {must("${env:ONE}"), must("${env:TWO}")}, "accounts.a.client_secret": {"${env:ONE}", "x${env:ONE}"}, "accounts.a.client_checked_first": {true, nil},
	"accounts.a.redirect_url": {"https://127.0.0.1:1", "https://127.0.0.1:2"}, "accounts.a.scopes": {[]any{"a", "b"}, []any{"a b"}}, "accounts.a.settings.x": {"1", "${env:TWO}"},
	"accounts.a.refresh.before_expiry": {"5m", "6m"}, "accounts.a.refresh.every": {"25m", "20m"}, "accounts.a.refresh.jitter": {"1s", "0s"},
	"accounts.a.refresh.budget": {"6/h", "12/h"}, "accounts.a.refresh.accept_risk": {true, nil},
	"accounts.a.refresh.max_failures": {1, 2}, "accounts.a.refresh.timeout": {"1s", "2s"},
	"accounts.a.shared_file.path": {must("/var/lib/one"), must("/var/lib/two")}, "accounts.a.shared_file.format": {must("json"), must("saxo-cache")},
	"accounts.a.shared_file.lock": {"/var/lib/1.lock", "/var/lib/2.lock"}, "accounts.a.shared_file.timezone": {"UTC", "Europe/Copenhagen"},
	"accounts.a.shared_file.unsafe_filesystem": {true, nil}, "accounts.a.shared_file.trust_folder": {true, nil},

	// The keys of every sink; those of its type, and how a token is written, are made.
	"sinks.file.accounts": {[]any{"a"}, []any{"*"}}, "sinks.file.providers": {[]any{"schwab"}, nil}, "sinks.file.max_concurrent": {1, 2},
	"sinks.file.events": {[]any{"token", "alert"}, []any{"alert", "token"}}, "sinks.file.include_refresh_token": {true, nil},
})

// plainType is a type of sinks by its keys alone, which hold anything: what fits together
// is no matter of the difference.
type plainType struct{ config.SinkType }

// plain is where such a sink leads.
type plain struct{ content bool }

func (t plainType) Read(config.Object) config.Destination {
	_, content := t.Fields()["format"]
	return plain{content}
}
func (plain) To() string                               { return "" }
func (p plain) Traits() config.Traits                  { return config.Traits{Content: p.content} }
func (plain) Check(config.Object, config.Surroundings) {}

// plainSinks are all types that there are, and values has what a sink of each may have.
// The sinks are called by their types.
func plainSinks() config.SinkTypes {
	all := types.Config()
	for i, t := range all.BuiltIn {
		all.BuiltIn[i] = plainType{t}
	}
	all.Plugin = plainType{all.Plugin}
	return all
}

// withSinks adds what a sink of each type may have, by what each of its keys holds.
func withSinks(values map[string][2]any) map[string][2]any {
	all := plainSinks()
	for _, t := range append(all.BuiltIn, all.Plugin) {
		name := t.Name()
		if name == "" {
			name = "redis"
		}
		values["sinks."+name+".type"] = [2]any{must(name), must(name)}
		for key, f := range t.Fields() {
			addValues(values, "sinks."+name+"."+key, f)
		}
	}
	return values
}

// addValues adds two values that are not the default, and need not make sense.
func addValues(values map[string][2]any, key string, f config.Field) {
	of := [2]any{"${env:ONE}", "${env:TWO}"} // of text and secrets
	switch f.Holds {
	case config.Nested:
		for below, f := range f.Fields {
			addValues(values, key+"."+below, f)
		}
		return
	case config.Table:
		addValues(values, key+".x", *f.Each)
		return
	case config.Boolean:
		of = [2]any{f.Default != true, nil}
	case config.Number:
		of = [2]any{1001, 1002}
	case config.Duration:
		of = [2]any{"1001s", "1002s"}
	case config.Mode:
		of = [2]any{"0601", "0602"}
	case config.Path:
		of = [2]any{"/one", "/two"}
	case config.Words:
		of = [2]any{[]any{"/one"}, []any{"/one", ""}}
	case config.Secrets, config.SecretOrList:
		of = [2]any{[]any{of[0]}, []any{of[1]}}
	case config.Word:
		switch of = [2]any{"one", "two"}; key[strings.LastIndex(key, ".")+1:] {
		case "format":
			of = [2]any{"schwab", "template"}
		case "timezone":
			of = [2]any{"UTC", "Europe/Copenhagen"}
		case "template":
			return // it goes with format
		}
	}
	values[key] = of
}

// must marks a value without which something else could not be there.
func must(v any) any { return needed{v} }

type needed struct{ v any }

// drawn is a configuration of some of the values, by key.
func drawn(t *rapid.T, label string) map[string]any {
	all := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		of := values[key]
		which := rapid.IntRange(0, 2).Draw(t, label+" "+key)
		need, is := of[which%2].(needed)
		switch {
		case is:
			all[key] = need.v
		case which < 2 && of[which] != nil && of[which] != "":
			all[key] = of[which]
		}
		if all[key] == "template" {
			all[strings.TrimSuffix(key, "format")+"template"] = "{{.AccessToken}}"
		}
	}
	return all
}

// document writes it as YAML.
func document(t *rapid.T, of map[string]any) string {
	root := map[string]any{}
	for key, value := range of {
		at, path := root, strings.Split(key, ".")
		for _, part := range path[:len(path)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[path[len(path)-1]] = value
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(text)
}

// TestEachKeyIsNamed: the difference of two configurations names each key in which they
// differ and no other; that of one from itself is none.
func TestEachKeyIsNamed(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		was, is := drawn(t, "was"), drawn(t, "is")
		before, after := loadAny(t, dir, document(t, was)), loadAny(t, dir, document(t, is))
		want := map[string]bool{}
		for _, keys := range []map[string]any{was, is} {
			for key := range keys {
				if !reflect.DeepEqual(was[key], is[key]) {
					want[key] = true
				}
			}
		}
		got := map[string]bool{}
		d := difference.Between(before, after)
		for section, s := range map[string]difference.Section{"accounts": d.Accounts, "providers": d.Providers, "sinks": d.Sinks} {
			if len(s.Added)+len(s.Removed) > 0 {
				t.Fatalf("%s: %+v", section, s)
			}
			for _, c := range s.Changed {
				for _, key := range c.Keys {
					got[section+"."+c.Name+"."+key] = true
				}
			}
		}
		for _, key := range slices.Concat(d.Keys, d.Fixed) {
			got[key] = true
		}
		if !maps.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		if same := difference.Between(before, loadAny(t, dir, document(t, was))); !same.IsZero() {
			t.Fatalf("of one from itself: %+v", same)
		}
	})
}

// loadAny loads a configuration whose sinks hold anything.
func loadAny(t *rapid.T, dir, yaml string) *config.Config {
	t.Helper()
	return loadOf(t, plainSinks(), dir, yaml, "ONE=1", "TWO=2")
}

// TestEveryKeyIsDrawn: values has every key that the reference of the configuration has.
func TestEveryKeyIsDrawn(t *testing.T) {
	text, err := os.ReadFile("../../../configs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for key := range values {
		have[general(key)] = true
	}
	said := leaves(root, "")
	if len(said) < 100 {
		t.Fatalf("the reference has only %d keys", len(said))
	}
	for _, key := range said {
		if !have[general(key)] && !ofItsType(root, strings.Split(key, ".")) {
			t.Errorf("no value of %s is drawn", key)
		}
	}
}

// ofItsType says whether a key is one of the type of its sink: values has those, because
// they are made of what the type says of itself.
func ofItsType(root map[string]any, path []string) bool {
	if path[0] != "sinks" {
		return false
	}
	name, _ := root["sinks"].(map[string]any)[path[1]].(map[string]any)["type"].(string)
	var typ config.SinkType = plugin.Type{}
	if t, ok := types.Of(name); ok {
		typ = t
	}
	_, is := typ.Fields()[path[2]]
	return is
}

// general is a key without the names that people choose.
func general(key string) string {
	path := strings.Split(key, ".")
	for i := 1; i < len(path); i++ {
		if i == 1 && slices.Contains([]string{"accounts", "providers", "sinks"}, path[0]) || path[i-1] == "settings" {
			path[i] = "*"
		}
	}
	return strings.Join(path, ".")
}

func leaves(v any, path string) (all []string) {
	below, is := v.(map[string]any)
	if !is {
		return []string{strings.TrimPrefix(path, ".")}
	}
	for key, v := range below {
		all = append(all, leaves(v, path+"."+key)...)
	}
	return all
}
