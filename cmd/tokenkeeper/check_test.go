package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// world is a folder with a configuration, a plugin directory and a state
// directory in it.
type world struct{ dir, config, plugins, state string }

// newWorld writes a configuration: yaml, and above it the folders.
func newWorld(t testing.TB, yaml string) world {
	t.Helper()
	dir := t.TempDir()
	w := world{dir: dir, config: filepath.Join(dir, "tk.yaml"), plugins: filepath.Join(dir, "plugins"), state: filepath.Join(dir, "state")}
	for _, d := range []string{w.plugins, w.state, filepath.Join(dir, "out")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, w.config, "state_dir: state\nplugins: {dir: plugins}\n"+yaml)
	return w
}

// plugin puts a script into the plugin directory.
func (w world) plugin(t *testing.T, name, script string) {
	t.Helper()
	if err := filestest.WriteProgram(filepath.Join(w.plugins, "tokenkeeper-provider-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

const twoAccounts = `accounts:
  schwab-main: {provider: schwab, client_id: "${env:TK_TEST_ID}", client_secret: "${env:TK_TEST_SECRET}", redirect_url: "https://127.0.0.1:8182"}
  saxo-live:
    provider: saxo
    client_id: id
    client_secret: "${env:TK_TEST_SECRET}"
    redirect_url: "http://localhost/callback"
    settings: {environment: live}
    refresh: {before_expiry: 3m, every: 15m}
sinks:
  bot: {type: unixsocket, path: bot.sock, accounts: [schwab-main], include_refresh_token: true}
  cache: {type: file, path: "out/{account}.json"}
`

func TestCheckGoodConfiguration(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	got := command(t, "", "check", "-c", w.config)
	if got.code != exitOK || !strings.HasSuffix(got.stdout, "\neverything is in order\n") {
		t.Errorf("exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{
		w.state + " (ready)\n",
		"saxo-live    saxo      refreshed 3m before expiry or every 15m  cache\n",
		"schwab-main  schwab    refreshed 5m before expiry               bot, cache\n",
		"bot    unixsocket  SENT",
		"cache  file        not sent",
		"built in  tokenkeeper provider saxo\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "app-secret-value") {
		t.Errorf("a secret was printed:\n%s", got.stdout)
	}
	r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
	if !r.OK || len(r.Accounts) != 2 || len(r.Sinks) != 2 || !r.Sinks[0].RefreshToken || r.Sinks[1].RefreshToken || len(r.Providers) != 2 || len(r.Providers[0].SHA256) != 64 {
		t.Errorf("got %+v", r)
	}
	if entries, _ := os.ReadDir(w.state); len(entries) != 0 {
		t.Errorf("the state directory was touched: %v", entries)
	}
}

// In a container nothing watches whether the store was cloned, unless the configuration
// asks for it: that is said, and why.
func TestCheckSaysThatNothingWatchesForAClone(t *testing.T) {
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	for _, variable := range []string{"container", "KUBERNETES_SERVICE_HOST"} {
		for guard, why := range map[string]string{
			"": "this is a container ($" + variable + "), which has no identity of its own; machine_guard: on asks for it all the same", "machine_guard: off\n": "machine_guard is off", "machine_guard: on\n": "",
		} {
			t.Run(variable+" "+guard, func(t *testing.T) {
				for _, other := range []string{"container", "KUBERNETES_SERVICE_HOST"} {
					t.Setenv(other, "")
				}
				t.Setenv(variable, "something")
				w := newWorld(t, guard+twoAccounts)
				r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
				if !r.OK || r.StateDir.Machine.Unguarded != why {
					t.Errorf("unguarded because of %q, want %q", r.StateDir.Machine.Unguarded, why)
				}
				said := strings.Join(strings.Fields(command(t, "", "check", "-c", w.config).stdout), " ")
				if text := "machine not watched, so a clone would use the same refresh tokens: " + why; strings.Contains(said, text) != (why != "") {
					t.Errorf("%s\nwant in it: %t, %s", said, why != "", text)
				}
			})
		}
	}
}

// What login would miss is told before somebody needs it.
func TestCheckSaysThatNobodyCanLogIn(t *testing.T) {
	w := newWorld(t, strings.Replace(twoAccounts, "    redirect_url: \"http://localhost/callback\"\n", "", 1))
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	got := command(t, "", "check", "-c", w.config)
	want := `warning: ` + w.config + `:5: accounts.saxo-live.redirect_url: is missing: "tokenkeeper login saxo-live" needs it; write the redirect address`
	if got.code != exitOK || !strings.Contains(got.stdout, want) || strings.Count(got.stdout, "warning:") != 1 {
		t.Errorf("exit code %d:\n%s\nwant %s", got.code, got.stdout, want)
	}
}

// One trouble is one problem, whatever else the state directory holds.
func TestCheckSaysOnceThatTheStateDirectoryIsOpen(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	if err := os.Chmod(w.state, 0o777); err != nil {
		t.Fatal(err)
	}
	got := command(t, "", "check", "-c", w.config)
	if got.code != exitUsage || strings.Count(got.stdout, "mode 0777") != 1 || !strings.HasSuffix(got.stdout, "\n1 problem\n") {
		t.Errorf("exit code %d:\n%s", got.code, got.stdout)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const schwab = "accounts:\n  main: {provider: schwab, client_id: id, client_secret: \"${env:TK_TEST_SECRET}\", redirect_url: \"https://127.0.0.1:8182\"}\n"
	account := func(provider, rest string) string {
		return "accounts:\n  main:\n    provider: " + provider + "\n    client_id: id\n    client_secret: \"${env:TK_TEST_SECRET}\"\n    redirect_url: http://localhost/callback\n" + rest
	}
	for _, tt := range []struct {
		name, yaml string
		prepare    func(t *testing.T, w world)
		want       string
	}{
		{"a key that does not exist", schwab + "sinsk: {}\n", nil, `tk.yaml:5:1: sinsk: unknown key; did you mean "sinks"?`},
		{"a secret that is missing", strings.Replace(schwab, "TK_TEST_SECRET", "TK_TEST_MISSING", 1), nil, "TK_TEST_MISSING is not set"},
		{"a setting that does not exist", account("saxo", "    settings:\n      environment: sim\n      environmnt: sim\n"), nil,
			`tk.yaml:11: accounts.main.settings.environmnt: is no setting of provider saxo; did you mean "environment"?`},
		{"a setting's value", account("saxo", "    settings: {environment: prod}\n"), nil, "accounts.main.settings.environment: has a value that provider saxo does not know; use one of: "},
		{"an address that is none", account("saxo", "    settings: {token_url: not a url}\n"), nil, "accounts.main.settings.token_url: is not an absolute URL; write it like https://"},
		{"an address without TLS", account("saxo", "    settings: {token_url: 'http://broker.example/token'}\n"), nil, "accounts.main.settings.token_url: must begin with https://"},
		{"a provider that does not exist", account("nope", ""), nil, `unknown provider "nope"`},
		{"a missing program", account("other", "providers:\n  other: {command: [/nonexistent/plugin]}\n"), nil, "tk.yaml:10: providers.other: /nonexistent/plugin does not exist"},
		{"no plugin", account("other", ""), func(t *testing.T, w world) { w.plugin(t, "other", "#!/bin/sh\nexit 0\n") }, "tokenkeeper-provider-other is no provider"},
		{"a wrong checksum", schwab + "providers:\n  schwab: {sha256: " + strings.Repeat("0", 64) + "}\n", nil, "providers.schwab.sha256"},
		{"another provider", account("other", "providers:\n  other: {command: ["+exe+", provider, saxo]}\n"), nil, "saxo"},
		{"a state directory that is a file", schwab, func(t *testing.T, w world) {
			if err := os.Remove(w.state); err != nil {
				t.Fatal(err)
			}
			write(t, w.state, "")
		}, "tk.yaml:1: state_dir: "},
		{"a state directory that is open", schwab, func(t *testing.T, w world) {
			if err := os.Chmod(w.state, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is open to others, and it holds refresh tokens (a folder of mode 0755): chmod 700 "},
		{"another's state directory", schwab, func(t *testing.T, w world) {
			if err := os.Chown(w.state, 65534, -1); err != nil {
				t.Skip("only root can give a directory away")
			}
		}, "(65534), and this is root (0)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TK_TEST_SECRET", "app-secret-value")
			w := newWorld(t, tt.yaml)
			if tt.prepare != nil {
				tt.prepare(t, w)
			}
			got := command(t, "", "check", "-c", w.config)
			for strings.Contains(got.stdout, "as if it waited for a disk") { // which stands still: see .ci/stress
				got = command(t, "", "check", "-c", w.config)
			}
			if got.code != exitUsage || got.stderr != "" || !strings.Contains(got.stdout, "problem: "+w.dir) || !strings.Contains(got.stdout, tt.want) || !strings.HasSuffix(got.stdout, " problem\n") && !strings.HasSuffix(got.stdout, " problems\n") {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, exitUsage, tt.want, got.stdout, got.stderr)
			}
		})
	}
}

func TestCheckAsJSONFindsWhatIsWrong(t *testing.T) {
	w := newWorld(t, "sinsk: {}\n")
	got := command(t, "", "check", "--json", "-c", w.config)
	r := decode[report](t, got.stdout)
	if got.code != exitUsage || r.OK || len(r.Problems) != 2 || r.Problems[1].File != w.config || r.Problems[1].Line != 3 {
		t.Errorf("exit code %d: %+v", got.code, r)
	}
}

func TestCheckSaysWhoUsesTheStateDirectory(t *testing.T) {
	f := &fake{}
	socket, _, _ := serve(t, f)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	w := newWorld(t, twoAccounts)
	s := sampleStatus()
	s.StateDir = w.state
	f.status = func() control.Status { return s }
	got := command(t, "", "check", "-c", w.config, "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "(in use by the running supervisor (PID 4242))") {
		t.Errorf("exit code %d:\n%s", got.code, got.stdout)
	}
}

func TestPlugins(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	w.plugin(t, "broken", "#!/bin/sh\necho hello\n")
	found := decode[foundPlugins](t, command(t, "", "plugins", "--json", "-c", w.config).stdout).Plugins
	if len(found) != 3 || found[0].Name != "broken" || found[1].Name != "saxo" || found[2].Name != "schwab" {
		t.Fatalf("got %+v", found)
	}
	if b := found[0]; b.Error == "" || b.Source != "plugin directory" || b.Protocol != 0 || len(b.SHA256) != 64 {
		t.Errorf("got %+v", b)
	}
	for _, p := range found[1:] {
		if p.Error != "" || p.Source != builtIn || p.Protocol != 1 || p.Version == "" || len(p.SHA256) != 64 {
			t.Errorf("got %+v", p)
		}
	}
	text := command(t, "", "plugins", "-c", w.config)
	if text.code != exitOK || !strings.Contains(text.stdout, "\n  └ ") || !strings.Contains(text.stdout, "built in") {
		t.Errorf("%+v", text)
	}
}

func TestPluginsWithoutAConfiguration(t *testing.T) {
	if _, err := os.Stat("/etc/tokenkeeper/tokenkeeper.yaml"); err == nil {
		t.Skip("this machine has a configuration")
	}
	t.Chdir(t.TempDir())
	t.Setenv("TOKENKEEPER_PLUGINS__DIR", t.TempDir())
	found := decode[foundPlugins](t, command(t, "", "plugins", "--json").stdout).Plugins
	if len(found) != len(builtins()) {
		t.Errorf("got %+v", found)
	}
}

// An account of which every request would fail is not in order: what its broker's client needs
// is there. It keeps no start from the others.
func TestCheckFindsAMissingClientSecret(t *testing.T) {
	for name, tt := range map[string]struct {
		account string
		code    int
	}{
		"no key":        {"{provider: schwab, client_id: id}", exitUsage},
		"an empty list": {"{provider: schwab, client_id: id, client_secret: []}", exitUsage},
		"an empty text": {"{provider: schwab, client_id: id, client_secret: \"\"}", exitUsage},
		"one":           {"{provider: schwab, client_id: id, client_secret: s}", exitOK},
		"none needed":   {"{provider: saxo, client_id: id}", exitOK},
	} {
		w := newWorld(t, "accounts:\n  main: "+tt.account+"\n")
		got := command(t, "", "check", "-c", w.config)
		const want = "accounts.main.client_secret: is missing, and provider schwab needs it"
		if strings.Contains(inOneLine(got.stdout), want) != (tt.code != exitOK) || got.code != tt.code {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
}
