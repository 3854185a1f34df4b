package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// wrong is one thing that a person has to put right.
type wrong struct {
	name string
	// change makes the good configuration a bad one.
	change func(yaml string) string
	// prepare spoils something else, and returns what undoes it.
	prepare func(t *testing.T, s *site) (undo func())
	// both is in what run and check say.
	both string
}

func replaced(old, new string) func(string) string {
	return func(yaml string) string {
		if strings.Count(yaml, old) != 1 {
			panic(fmt.Sprintf("%q is not once in\n%s", old, yaml))
		}
		return strings.Replace(yaml, old, new, 1)
	}
}

func added(text string) func(string) string { return func(yaml string) string { return yaml + text } }

func wrongs() []wrong {
	otherProvider := replaced("provider: schwab", "provider: other")
	withProvider := func(text string) func(string) string {
		return func(yaml string) string { return otherProvider(yaml) + "providers:\n  other: " + text + "\n" }
	}
	return []wrong{
		{name: "unknown key", change: added("sinsk: {}\n"), both: `sinsk: unknown key; did you mean "sinks"?`},
		{name: "unknown key of an account", change: replaced("client_id:", "client_ID:"), both: `client_ID: unknown key; did you mean "client_id"?`},
		{name: "wrong type", change: replaced("every: 1s", "every: [1s]"), both: "accounts.schwab-main.refresh.every"},
		{name: "number without a unit", change: replaced("every: 1s", "every: 60"), both: "accounts.schwab-main.refresh.every"},
		{name: "missing secret in the environment", change: replaced("client_secret: app-secret", "client_secret: ${env:TK_NOT_SET}"), both: "TK_NOT_SET"},
		{name: "missing secret file", change: replaced("client_secret: app-secret", "client_secret: ${file:secrets/none.yaml#key}"), both: "secrets/none.yaml"},
		{
			name: "duplicate name", both: "schwab-main",
			change: replaced("sinks:", "  schwab-main: {provider: schwab, client_id: a, client_secret: b}\nsinks:"),
		},
		{name: "account of an unknown provider", change: otherProvider, both: `unknown provider "other"`},
		{name: "sink of an unknown account", change: replaced("{type: file,", "{type: file, accounts: [schwab-mian],"), both: "schwab-mian"},
		{name: "missing plugin", change: withProvider("{command: [/nonexistent/plugin]}"), both: "/nonexistent/plugin does not exist"},
		{name: "no plugin", change: withProvider("{command: [" + noPlugin + "]}"), both: noPlugin + " is no provider"},
		{name: "wrong checksum", change: added("providers:\n  schwab: {sha256: " + strings.Repeat("0", 64) + "}\n"), both: "checksum"},
		{name: "wrong provider", change: func(yaml string) string { return yaml }, prepare: wrongPlugin, both: `provider "saxo"`},
		{name: "pattern that matches nothing", change: replaced("{type: file,", `{type: file, accounts: ["saxo-*"],`), both: "saxo-*"},
		{name: "people who would get tokens", change: added("  phone: {type: notify, urls: [\"ntfy://h/t\"], events: [token]}\n"), both: "sinks.phone.events"},
		{name: "file that would get alerts", change: replaced("{type: file,", "{type: file, events: [alert],"), both: "sinks.files.events"},
		{name: "template of an unknown field", change: added("  t: {type: exec, command: [/bin/true], format: template, template: \"{{.AccesToken}}\"}\n"), both: "AccesToken"},
		{name: "sink of an unknown type", change: added("  v: {type: webhok, url: \"https://h/\"}\n"), both: "webhook"},
		{name: "sink whose program is missing", change: added("  v: {type: vault, command: [/nonexistent/sink]}\n"), both: "/nonexistent/sink does not exist"},
		{name: "sink whose program is none", change: added("  v: {type: vault, command: [" + noPlugin + "]}\n"), both: noPlugin},
		{name: "sink that is a provider", change: func(yaml string) string { return yaml + "  v: {type: vault, command: [./provider]}\n" }, prepare: providerForSink, both: "is the provider"},
		{name: "setting that a sink does not know", change: unknownSetting, both: "dirr"},
		{name: "not YAML", change: added("accounts: [\n"), both: "YAML"},
		{name: "empty", change: func(string) string { return "" }, both: "accounts"},

		{name: "open state directory", prepare: chmodState, both: "chmod 700 "},
		{name: "state directory that is a file", prepare: fileState, both: "is no directory"},
		{name: "another's state directory", prepare: chownState, both: "65534"},
		{name: "damaged store", prepare: damagedStore, both: "the store is damaged"},
		{name: "open store", prepare: openStore, both: "chmod 600 "},
	}
}

const noPlugin = "/bin/true"

// wrongPlugin puts a program into the plugin directory that is another
// provider than its name says.
func wrongPlugin(t *testing.T, s *site) func() {
	script := "#!/bin/sh\nexec " + s.program + " provider saxo\n"
	if err := os.MkdirAll(s.path("plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := s.path("plugins/tokenkeeper-provider-schwab")
	if err := filestest.WriteProgram(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(path) }
}

// providerForSink writes a program that is a provider.
func providerForSink(t *testing.T, s *site) func() {
	write(t, s.path("provider"), "#!/bin/sh\nexec "+s.program+" provider saxo\n")
	if err := os.Chmod(s.path("provider"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(s.path("provider")) }
}

// unknownSetting adds a good program whose settings hold a mistake.
func unknownSetting(yaml string) string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return yaml + fmt.Sprintf("  v: {type: %s, command: [%q, %s], settings: {dirr: /tmp}}\n", folder.Type, exe, folderSink)
}

func chmodState(t *testing.T, s *site) func() {
	return changed(t, os.Chmod(s.path("state"), 0o755), func() error { return os.Chmod(s.path("state"), 0o700) })
}

func chownState(t *testing.T, s *site) func() {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	return changed(t, os.Chown(s.path("state"), 65534, -1), func() error { return os.Chown(s.path("state"), 0, -1) })
}

func fileState(t *testing.T, s *site) func() {
	err := os.Rename(s.path("state"), s.path("kept"))
	if err == nil {
		err = os.WriteFile(s.path("state"), nil, 0o600)
	}
	return changed(t, err, func() error {
		if err := os.Remove(s.path("state")); err != nil {
			return err
		}
		return os.Rename(s.path("kept"), s.path("state"))
	})
}

func openStore(t *testing.T, s *site) func() {
	return changed(t, os.Chmod(s.path(storeFile), 0o644), func() error { return os.Chmod(s.path(storeFile), 0o600) })
}

// damagedStore also sees that the damage is left as it is.
func damagedStore(t *testing.T, s *site) func() {
	good := readFile(t, s.path(storeFile))
	bad := bytes.Repeat([]byte("damaged "), len(good)/8)
	return changed(t, os.WriteFile(s.path(storeFile), bad, 0o600), func() error {
		if !bytes.Equal(readFile(t, s.path(storeFile)), bad) {
			t.Error("the damaged store was changed")
		}
		return os.WriteFile(s.path(storeFile), good, 0o600)
	})
}

func changed(t *testing.T, err error, undo func() error) func() {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := undo(); err != nil {
			t.Fatal(err)
		}
	}
}

// storeFile is the store in a site.
const storeFile = "state/tokenkeeper.db"

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Everything that a person has to put right is said before anything starts,
// and costs nothing that is stored.
func TestBadInput(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	good := "accounts:\n" + accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 1s") + filesYAML
	s := newSite(t, good)
	s.logInEarlier(t, schwab, schwabAccount, format.Schwab, time.Hour)
	stored := readFile(t, s.path(storeFile))

	for _, w := range wrongs() {
		t.Run(w.name, func(t *testing.T) {
			if w.change != nil {
				s.configure(t, w.change(good))
			}
			undo := func() {}
			if w.prepare != nil {
				undo = w.prepare(t, s)
			}
			check, run := s.tool(t, "", "check"), s.tool(t, "", "run")
			undo()
			s.configure(t, good)

			if said := check.stdout + check.stderr; check.code != exitUsage || !strings.Contains(said, w.both) {
				t.Errorf("check: exit code %d, want %d and %q in:\n%s", check.code, exitUsage, w.both, said)
			}
			if run.code == exitOK || run.stdout != "" || !strings.HasPrefix(run.stderr, "tokenkeeper: ") ||
				!strings.Contains(run.stderr, w.both) {
				t.Errorf("run: exit code %d, want %q in:\n%s%s", run.code, w.both, run.stdout, run.stderr)
			}
			if strings.Contains(run.stderr, "tokenkeeper starts") || strings.Contains(check.stdout+check.stderr+run.stderr, "app-secret") {
				t.Errorf("something had started, or a secret was told:\n%s%s", check.stdout, run.stderr)
			}
			if !bytes.Equal(readFile(t, s.path(storeFile)), stored) {
				t.Error("the store was changed")
			}
			if posts := schwab.Stats().Total.Posts; posts != 0 {
				t.Fatalf("the broker has seen %d requests", posts)
			}
		})
	}
	s.mustBeGone(t)
	if strings.Contains(fmt.Sprint(readDir(t, s.dir)), schwabAccount) {
		t.Errorf("something was delivered: %v", readDir(t, s.dir))
	}
	r := startRun(t, s)
	r.delivered(schwabAccount, 2)
	s.mustHold(t, schwab, schwabAccount)
	r.Stop()
}

// A damaged store is restored by the start, when there is a backup of it: the service
// does not stay down.
func TestDamagedStoreIsRestoredAtTheStart(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	s := newSite(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 24h")+filesYAML)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	if got := s.tool(t, "", "store", "backup"); got.code != exitOK {
		t.Fatalf("backup: %+v", got)
	}
	if err := os.Truncate(s.path(storeFile), 9000); err != nil {
		t.Fatal(err)
	}
	if got := s.tool(t, "", "check"); got.code != exitUsage || !strings.Contains(got.stdout+got.stderr, "run restores it from its backups") {
		t.Errorf("check: %+v", got)
	}
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return account(st, schwabAccount).Version >= 1 })
	if log := r.Stderr(); !strings.Contains(log, "restored") {
		t.Errorf("nothing is said of it:\n%s", log)
	}
	r.Stop()
}

// A store that root had made in a service's state directory would lock the
// service out.
func TestImportIntoAnothersStateDirectory(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	s := newSite(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 1s"))
	if err := os.Mkdir(s.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	chownState(t, s)
	body := tokenFileOf(t, schwab.Grant(schwabAccount), format.Schwab, time.Now())
	if got := s.tool(t, string(body), "import", schwabAccount, "-"); got.code == exitOK || !strings.Contains(got.stderr, "(65534), and this is ") {
		t.Errorf("import: %+v", got)
	}
	if names := readDir(t, s.path("state")); len(names) != 0 {
		t.Errorf("the state directory holds %v", names)
	}
}

// One supervisor per state directory.
func TestSecondSupervisor(t *testing.T) {
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	before := r.until(func(control.Status) bool { return true })
	second := s.tool(t, "", "run")
	if second.code == exitOK || !strings.Contains(second.stderr, "process "+strconv.Itoa(r.PID)+")") || !strings.Contains(second.stderr, "another supervisor uses this state directory") {
		t.Errorf("the second one: %+v, want the PID %d in it", second, r.PID)
	}
	if check := s.tool(t, "", "check"); check.code != exitOK || !strings.Contains(check.stdout, "PID "+strconv.Itoa(r.PID)) {
		t.Errorf("check beside a running supervisor: %+v", check)
	}
	after := r.until(func(control.Status) bool { return true })
	for _, name := range []string{"schwab", "saxo"} {
		if provider(after, name).PID != provider(before, name).PID {
			t.Errorf("provider %s of the first one: before %+v, after %+v", name, provider(before, name), provider(after, name))
		}
	}
	r.refreshed(schwabAccount)
	r.Stop()
	goesOn(t, s, schwab, saxo)
}

// A plugin that was replaced is found out also when it is started again.
func TestChecksumHoldsForEveryGeneration(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	s := newSite(t, "")
	copied := s.path("copy")
	if out, err := exec.Command("cp", s.program, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := decode[foundPlugins](t, s.withProvider(t, schwab, copied, "")).Plugins
	sum := ""
	for _, p := range found {
		if p.Name == "schwab" {
			sum = p.SHA256
		}
	}
	s.withProvider(t, schwab, copied, sum)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	r := startRun(t, s)
	process := r.providerProcess("schwab")
	if err := os.Rename(copied, copied+".old"); err != nil {
		t.Fatal(err)
	}
	if err := filestest.WriteProgram(copied, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := s.tool(t, "", "restart", "schwab"); out.code == exitOK || !strings.Contains(out.stderr, "checksum") {
		t.Errorf("restart after the plugin was replaced: %+v", out)
	}
	if now := r.providerProcess("schwab"); now.pid != process.pid {
		t.Errorf("the process that served was ended for it: it was %d and is %d", process.pid, now.pid)
	}
	process.kill()
	r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderParked })
	if err := os.Rename(copied+".old", copied); err != nil {
		t.Fatal(err)
	}
	if out := s.tool(t, "", "restart", "schwab"); out.code != exitOK {
		t.Errorf("restart after the plugin was put back: %+v", out)
	}
	r.refreshed(schwabAccount)
	r.Stop()
}

// withProvider configures schwab's provider to be a program, and returns what
// "plugins --json" says.
func (s *site) withProvider(t *testing.T, sim *brokersim.Server, program, sum string) string {
	t.Helper()
	if sum != "" {
		sum = "    sha256: " + sum + "\n"
	}
	s.configure(t, "accounts:\n"+accountYAML(schwabAccount, sim, sim.TokenURL(), "before_expiry: 5m")+
		"providers:\n  schwab:\n    command: ["+program+", provider, schwab]\n"+sum)
	return s.tool(t, "", "plugins", "--json").stdout
}
