package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// sinkForTests as the first argument makes the tests' program a plugin, for
// sinks of type checked.
const sinkForTests = "sink-for-tests"

type checkedSink struct{}

func (checkedSink) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "checked", Version: "1.2", Settings: []sdk.Setting{
		{Name: "address", Required: true, Description: "where it is"}, {Name: "mode", OneOf: []string{"fast", "slow"}}, {Name: "password"},
	}}, nil
}

func (checkedSink) Deliver(context.Context, sdk.DeliverRequest) error { return nil }

const oneSchwab = "accounts:\n  main: {provider: schwab, client_id: id, client_secret: \"${env:TK_TEST_SECRET}\", redirect_url: \"https://127.0.0.1:8182\"}\n"

func TestCheckSinkPlugins(t *testing.T) {
	skipUnlessRaced(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	program := "command: [" + exe + ", " + sinkForTests + "]"
	for name, tt := range map[string]struct{ sink, want string }{
		"a setting that does not exist": {"    settings: {address: x, mod: fast}\n    " + program + "\n",
			`tk.yaml:8: sinks.s.settings.mod: is no setting of sinks of type checked; did you mean "mode"?`},
		"a setting that is needed and misspelt": {"    " + program + "\n    settings: {adress: x}\n", "tk.yaml:9: sinks.s.settings.adress: is no setting of sinks of type checked; did you mean \"address\"?"},
		"a setting that is missing":             {"    " + program + "\n", "tk.yaml:6: sinks.s.settings.address: is missing, and sinks of type checked needs it: \"where it is\""},
		"a setting's value":                     {"    settings: {address: x, mode: app-secret-value}\n    " + program + "\n", "tk.yaml:8: sinks.s.settings.mode: has a value that sinks of type checked does not know; use one of: fast, slow"},
		"alerts for one without them":           {"    settings: {address: x}\n    events: [token, alert]\n    " + program + "\n", "tk.yaml:9: sinks.s.events: the plugin for sinks of type checked takes tokens only; write events: [token]"},
		"a missing program":                     {"    command: [/nonexistent/sink]\n", "tk.yaml:6: sinks.s: /nonexistent/sink does not exist"},
		"no program at all":                     {"", `tk.yaml:7:11: sinks.s.type: unknown type "checked": it is not built in`},
		"a provider":                            {"    command: [" + exe + ", provider, saxo]\n", "tk.yaml:6: sinks.s: "},
		"a wrong checksum":                      {"    sha256: " + strings.Repeat("0", 64) + "\n    " + program + "\n", "sinks.s.sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneSchwab+"sinks:\n  s:\n    type: checked\n"+tt.sink)
			got := command(t, "", "check", "-c", w.config)
			if got.code != exitUsage || !strings.Contains(got.stdout, tt.want) || strings.Contains(got.stdout, "app-secret-value") {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, exitUsage, tt.want, got.stdout, got.stderr)
			}
		})
	}

	w := newWorld(t, oneSchwab+"sinks:\n  s: {type: checked, settings: {address: x, password: \"${env:TK_TEST_SECRET}\"}}\n")
	script := "#!/bin/sh\nexec " + exe + " " + sinkForTests + "\n"
	if err := filestest.WriteProgram(filepath.Join(w.plugins, "tokenkeeper-sink-checked"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	got := command(t, "", "check", "-c", w.config)
	if got.code != exitOK || !strings.Contains(got.stdout, "SINK PLUGIN") || !strings.Contains(got.stdout, "checked  1.2") || strings.Contains(got.stdout, "app-secret-value") {
		t.Errorf("exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
	if len(r.SinkPlugins) != 1 || r.SinkPlugins[0].Version != "1.2" || len(r.SinkPlugins[0].SHA256) != 64 || r.SinkPlugins[0].Restore || r.Sinks[0].Events[0] != "token" {
		t.Errorf("got %+v", r.SinkPlugins)
	}
}

// A program that serves many sinks is started once, and says the same of each; one that
// ends at once is told of each.
func TestProgramOfManySinksIsAskedOnce(t *testing.T) {
	skipUnlessRaced(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	for name, tt := range map[string]struct{ run, want string }{
		"it serves": {"exec " + exe + " " + sinkForTests, ""},
		"it ends":   {"exit 1", "handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneSchwab+"sinks:\n  a: {type: checked, settings: {address: x}}\n  b: {type: checked, settings: {address: y}}\n  c: {type: checked, settings: {address: z}}\n")
			starts := filepath.Join(w.plugins, "starts")
			script := "#!/bin/sh\necho start >> " + starts + "\n" + tt.run + "\n"
			if err := filestest.WriteProgram(filepath.Join(w.plugins, "tokenkeeper-sink-checked"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
			if got := readText(t, starts); got != "start\n" || len(r.SinkPlugins) != 3 {
				t.Errorf("started %q, for %+v", got, r.SinkPlugins)
			}
			for _, p := range r.SinkPlugins {
				if !strings.Contains(p.Error, tt.want) || (p.Error == "") != (p.Version == "1.2") || len(p.SHA256) != 64 {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestCheckRoutesAndPeople(t *testing.T) {
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	t.Setenv("TK_TEST_TOPIC", "secret-topic")
	w := newWorld(t, twoAccounts+`  people: {type: notify, urls: ["ntfy://ntfy.sh/${env:TK_TEST_TOPIC}"], events: [alert, lifecycle]}
  saxos: {type: exec, command: [/bin/true], accounts: ["sax*"]}
  schwabs: {type: exec, signal: {pidfile: /run/bot.pid}, providers: [schwab]}
`)
	got := command(t, "", "check", "-c", w.config)
	for _, want := range []string{
		"people   notify      not sent       alert, lifecycle  1 address", "saxos    exec        not sent       token             /bin/true  ",
		"HUP to /run/bot.pid", "bot, cache, people, schwabs\n", "cache, people, saxos\n",
	} {
		if got.code != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("exit code %d, %q is not in\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if strings.Contains(got.stdout, "secret-topic") {
		t.Errorf("an address was printed:\n%s", got.stdout)
	}
	w = newWorld(t, oneSchwab+"sinks:\n  people: {type: notify, urls: [\"ntfi://${env:TK_TEST_TOPIC}\"]}\n")
	got = command(t, "", "check", "-c", w.config)
	if got.code != exitUsage || !strings.Contains(got.stdout, "tk.yaml:6:33: sinks.people.urls: item 1: ") || strings.Contains(got.stdout, "secret-topic") {
		t.Errorf("exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// check finds what a start would find in the state directory, and leaves it as
// it is.
func TestCheckLooksIntoTheStore(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	for name, tt := range map[string]struct {
		spoil func(file string) error
		want  string
	}{
		"good":    {func(string) error { return nil }, ""},
		"open":    {func(file string) error { return os.Chmod(file, 0o644) }, "is open to others (mode 0644)"},
		"damaged": {func(file string) error { return os.WriteFile(file, []byte(strings.Repeat("x", 8192)), 0o600) }, "holds a store that is not whole"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneSchwab+"sinks:\n  x: {type: exec, command: [/bin/true]}\n")
			s, err := store.Open(w.state, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			held := command(t, "", "check", "-c", w.config)
			if held.code != exitOK || !strings.Contains(held.stdout, "in use by a supervisor that does not answer here") {
				t.Errorf("while it is in use, exit code %d:\n%s", held.code, held.stdout)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(w.state, store.FileName)
			if err := tt.spoil(file); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := command(t, "", "check", "-c", w.config)
			if tt.want == "" && got.code != exitOK || tt.want != "" && (got.code != exitUsage || !strings.Contains(got.stdout, tt.want) || !strings.Contains(got.stdout, "tk.yaml:1: state_dir: ")) {
				t.Errorf("exit code %d, want %q:\n%s", got.code, tt.want, got.stdout)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}
