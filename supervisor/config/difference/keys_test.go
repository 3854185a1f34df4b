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

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
)

// values are two of every key that there is, and what must be there. The sinks are
// called by their types, and nothing is the default.
var values = map[string][2]any{
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

	"sinks.file.type": {must("file"), must("file")}, "sinks.file.path": {must("/out/{account}.1"), must("/out/{account}.2")}, "sinks.file.mode": {"0600", "0640"},
	"sinks.file.owner": {"0:0", "1:1"}, "sinks.file.trust_folder": {true, nil}, "sinks.file.format": {"schwab", "template"}, "sinks.file.timezone": {"UTC", "Europe/Copenhagen"},
	"sinks.file.signal.pidfile": {must("/run/1.pid"), must("/run/2.pid")}, "sinks.file.signal.signal": {"INT", "TERM"}, "sinks.file.signal.trust_folder": {true, nil},
	"sinks.file.accounts": {[]any{"a"}, []any{"*"}}, "sinks.file.providers": {[]any{"schwab"}, nil}, "sinks.file.max_concurrent": {1, 2},
	"sinks.file.include_refresh_token": {true, nil},

	"sinks.dial.type": {must("unixsocket"), must("unixsocket")}, "sinks.dial.path": {must("/run/1.sock"), must("/run/2.sock")}, "sinks.dial.ack": {"none", nil},
	"sinks.dial.timeout": {"1s", "2s"}, "sinks.dial.attempts": {1, 2}, "sinks.dial.interval": {"1s", "2s"}, "sinks.dial.max_bytes": {1000, 2000}, "sinks.dial.allow_uids": {[]any{"1"}, []any{"2"}},
	"sinks.listen.type": {must("unixsocket"), must("unixsocket")}, "sinks.listen.direction": {must("listen"), must("listen")}, "sinks.listen.path": {must("/run/3.sock"), must("/run/4.sock")},
	"sinks.listen.mode": {"0660", "0666"}, "sinks.listen.max_consumers": {1, 2}, "sinks.listen.trust_folder": {true, nil},

	"sinks.hook.type": {must("webhook"), must("webhook")}, "sinks.hook.url": {must("https://one.example"), must("https://two.example")}, "sinks.hook.secret": {"whsec_MTIz", "whsec_MTI0"},
	"sinks.hook.headers.X-A": {"${env:ONE}", "${env:TWO}"}, "sinks.hook.timeout": {"1s", "2s"}, "sinks.hook.ca_file": {"/ca/1", "/ca/2"},
	"sinks.hook.cert_file": {must("/cert/1"), must("/cert/2")}, "sinks.hook.key_file": {must("/key/1"), must("/key/2")},
	"sinks.hook.proxy": {"http://one.example:1", "none"}, "sinks.hook.events": {[]any{"token", "alert"}, []any{"alert", "token"}},

	"sinks.exec.type": {must("exec"), must("exec")}, "sinks.exec.command": {must([]any{"one"}), must([]any{"one", ""})}, "sinks.exec.timeout": {"1s", "2s"},
	"sinks.poke.type": {must("exec"), must("exec")}, "sinks.poke.signal.pidfile": {must("/run/3.pid"), must("/run/4.pid")}, "sinks.poke.signal.signal": {"INT", "TERM"},
	"sinks.poke.signal.trust_folder": {true, nil},

	"sinks.people.type": {must("notify"), must("notify")}, "sinks.people.urls": {must([]any{"ntfy://ntfy.sh/${env:ONE}"}), must([]any{"ntfy://ntfy.sh/${env:TWO}"})}, "sinks.people.timeout": {"1s", "2s"},

	"sinks.redis.type": {must("redis"), must("redis")}, "sinks.redis.command": {[]any{"/bin/one"}, []any{"/bin/two"}}, "sinks.redis.sha256": {strings.Repeat("1", 64), strings.Repeat("2", 64)},
	"sinks.redis.settings.x": {"${env:ONE}", "${env:TWO}"}, "sinks.redis.timeout": {"1s", "2s"}, "sinks.redis.restore": {false, nil},
	"sinks.redis.template": {"", ""}, // it goes with format
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
		before, after := load(t, dir, document(t, was), "ONE=1", "TWO=2"), load(t, dir, document(t, is), "ONE=1", "TWO=2")
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
		if same := difference.Between(before, load(t, dir, document(t, was), "ONE=1", "TWO=2")); !same.IsZero() {
			t.Fatalf("of one from itself: %+v", same)
		}
	})
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
	have, typeOf := map[string]bool{}, map[string]string{}
	for key, of := range values {
		if need, is := of[0].(needed); is && strings.HasSuffix(key, ".type") {
			typeOf[strings.Split(key, ".")[1]], _ = need.v.(string)
		}
	}
	for key := range values {
		have[general(key, typeOf)] = true
		if path := strings.Split(key, "."); path[0] == "sinks" { // what every sink has, or those that write a token
			have[strings.Join(path[2:], ".")] = true
		}
	}
	said := leaves(root, "")
	for name, sink := range root["sinks"].(map[string]any) {
		typeOf[name], _ = sink.(map[string]any)["type"].(string)
	}
	typeOf["vault"] = "redis"
	if len(said) < 100 {
		t.Fatalf("the reference has only %d keys", len(said))
	}
	common := []string{"type", "accounts", "providers", "events", "max_concurrent", "include_refresh_token", "format", "template", "timezone"}
	for _, key := range said {
		path := strings.Split(key, ".")
		if !have[general(key, typeOf)] && !(path[0] == "sinks" && slices.Contains(common, path[2]) && have[path[2]]) {
			t.Errorf("no value of %s is drawn", key)
		}
	}
}

// general is a key without the names that people choose.
func general(key string, typeOf map[string]string) string {
	path := strings.Split(key, ".")
	for i := 1; i < len(path); i++ {
		switch {
		case i == 1 && path[0] == "sinks":
			path[1] = typeOf[path[1]]
		case i == 1 && (path[0] == "accounts" || path[0] == "providers"), path[i-1] == "settings", path[i-1] == "headers":
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
