package types_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

// TestEachSinkKnowsWhereItIs: another place has another address, and the same place has
// the same one, whatever else is said of it.
func TestEachSinkKnowsWhereItIs(t *testing.T) {
	for _, c := range []struct{ name, one, same, other string }{
		{"file", "type: file, path: /x/one.json", "type: file, path: /x/one.json, mode: '0640'", "type: file, path: /x/two.json"},
		{"file with a signal", "type: file, path: /x/one.json, signal: {pidfile: /x/pid}", "type: file, path: /x/one.json", "type: file, path: /x/two.json"},
		{"our socket", "type: unixsocket, direction: listen, path: /x/one", "type: unixsocket, direction: listen, path: /x/one, mode: '0660'", "type: unixsocket, direction: listen, path: /x/two"},
		{"webhook", "type: webhook, url: 'https://me:CANARY-1@x.example/one'", "type: webhook, url: 'https://me:CANARY-2@x.example/one', secret: c2VjcmV0, headers: {Authorization: b}, proxy: none", "type: webhook, url: 'https://me:CANARY-1@x.example/two'"},
		{"exec", "type: exec, command: [/bin/true, one]", "type: exec, command: [/bin/true, one], timeout: 1m", "type: exec, command: [/bin/true, two]"},
		{"exec with a secret", "type: exec, command: [/bin/true, --password=CANARY-1]", "type: exec, command: [/bin/true, --password=CANARY-2]", "type: exec, command: [/bin/true, --room=CANARY-1]"},
		{"signal", "type: exec, signal: {pidfile: /x/one}", "type: exec, signal: {pidfile: /x/one, trust_folder: true}", "type: exec, signal: {pidfile: /x/two}"},
		{"notify", "type: notify, urls: ['ntfy://:CANARY-1@x.example/one', 'ntfy://x.example/three']", "type: notify, urls: ['ntfy://x.example/three', 'ntfy://:CANARY-2@x.example/one']", "type: notify, urls: ['ntfy://x.example/two', 'ntfy://x.example/three']"},
		{"plugin", "type: redis, command: [/bin/true], settings: {address: 'a:1', password: CANARY-1}", "type: redis, command: [/bin/false], settings: {address: 'a:1', password: CANARY-2}", "type: redis, command: [/bin/true], settings: {address: 'b:1', password: CANARY-1}"},
		{"plugin with a secret", "type: redis, command: [/bin/true, --password, CANARY-1]", "type: redis, command: [/bin/true, --password, CANARY-2]", "type: redis, command: [/bin/true, --room, CANARY-1]"},
		{"another program", "type: redis, command: [/bin/true, a]", "type: redis, command: [/bin/true, a], timeout: 1m", "type: redis, command: [/bin/true, b]"},
	} {
		one, same, other := addressOf(t, c.one), addressOf(t, c.same), addressOf(t, c.other)
		if one == "" || one != same || one == other {
			t.Errorf("%s: %q, the same is %q, another one %q", c.name, one, same, other)
		}
	}
	// An abstract socket tells nothing of who has bound it, and whoever binds one in a folder
	// is asked for by name.
	one, two := abstract(t, "@one"), abstract(t, "@two")
	if one == "" || one == two {
		t.Errorf("the addresses of abstract sockets are %q and %q", one, two)
	}
	if got := addressOf(t, "type: unixsocket, path: /x/one"); got != "" {
		t.Errorf("the address of a consumer's socket is %q", got)
	}
}

func abstract(t *testing.T, path string) string {
	t.Helper()
	d, err := unixsocket.New(unixsocket.Config{Path: path, Encode: func(format.Document) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return d.Address()
}

// addressOf is the address of a sink that is configured so.
func addressOf(t *testing.T, keys string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tk.yaml")
	yaml := "accounts:\n  main: {provider: saxo, client_id: a, client_secret: b}\nsinks:\n  s: {" + keys + "}\n"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(config.Source{Path: path, Sinks: types.Config(), Environ: func() []string { return nil }})
	if err != nil {
		t.Fatalf("%s: %v", keys, err)
	}
	s := cfg.Sinks["s"]
	var d sink.Sink
	if typ, ok := types.Of(s.Type); ok {
		d, _, err = typ.New(s, sink.With{})
	} else {
		own, _ := plugin.Of(s)
		d, _, err = plugin.Configured(s, plugin.Config{Command: &process.Command{Path: own.Command[0], Args: own.Command[1:]}})
	}
	if err != nil {
		t.Fatalf("%s: %v", keys, err)
	}
	at, ok := d.(sink.Addressed)
	if !ok {
		t.Fatalf("%s: it does not say where it delivers to", keys)
	}
	return at.Address()
}
