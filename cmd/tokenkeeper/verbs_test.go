package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func TestHelp(t *testing.T) {
	for _, args := range [][]string{
		{}, {"accounts"}, {"accounts", "list"}, {"accounts", "rename"}, {"accounts", "forget"}, {"adopt"}, {"alerts"}, {"alerts", "ack"}, {"alerts", "resume"}, {"alerts", "silence"}, {"check"}, {"diff"}, {"doctor"}, {"events"}, {"exec"}, {"explain"}, {"import"}, {"init"}, {"logs"}, {"pause"}, {"plugins"}, {"refresh"}, {"restart"}, {"resume"}, {"revoke"}, {"sinks"}, {"sinks", "disable"}, {"sinks", "enable"},
		{"sinks", "redeliver"}, {"sinks", "restart"}, {"sinks", "test"}, {"status"}, {"test"}, {"token"}, {"version"}, {"wait"},
	} {
		name := "help" + strings.Join(append([]string{""}, args...), "-") + ".golden"
		t.Run(name, func(t *testing.T) {
			got := command(t, "", append(args, "--help")...)
			if got.code != exitOK || got.stderr != "" {
				t.Errorf("exit code %d, stderr %s", got.code, got.stderr)
			}
			if name != "help.golden" {
				golden(t, name, got.stdout)
			} else if !strings.Contains(got.stdout, "Exit codes: 0 done") {
				t.Errorf("got %s", got.stdout)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"stauts", `there is no command "stauts"; did you mean status?`},
		{"xyzzy", `there is no command "xyzzy"; see "tokenkeeper --help"`},
		{"refresh", "ACCOUNT is missing: tokenkeeper refresh ACCOUNT [--force]"},
		{"test", "ACCOUNT is missing: tokenkeeper test ACCOUNT"},
		{"revoke", "ACCOUNT is missing: tokenkeeper revoke ACCOUNT [--yes]"},
		{"import main", "FILE is missing: tokenkeeper import ACCOUNT [FILE]"},
		{"token a b", `"b" is one argument too many: tokenkeeper token ACCOUNT [--header] [--min-valid D] [--if-version N]`},
		{"token a --min-valid=-1s", "--min-valid is how long the token shall live from now on, and can't be negative"},
		{"token a --min-valid long", `--min-valid: "long" is no duration; write it like 90s, 30m or 2h; see "tokenkeeper token --help"`},
		{"token a --if-version newest", `--if-version: "newest" is no whole number; see "tokenkeeper token --help"`},
		{"token a --if-version 0", "--if-version is the version of the token that was refused, from 1 on"},
		{"token a --min-valid 5m --allow-expired", "--allow-expired is for the token as it is, and excludes --min-valid and --if-version"},
		{"token a --allow-shorter", "--allow-shorter goes with --min-valid, and not with --if-version"},
		{"token a --allow-shorter --min-valid 5m --if-version 3", "--allow-shorter goes with --min-valid, and not with --if-version"},
		{"wait", "ACCOUNT is missing: tokenkeeper wait ACCOUNT [--timeout D] [--min-valid D]"},
		{"wait a --timeout=-1s", "--timeout and --min-valid say how long from now on, and can't be negative"},
		{"exec -a main", "PROGRAM is missing: tokenkeeper exec -a ACCOUNT"},
		{"exec -- true", "-a is missing: name the account whose token the program gets"},
		{"exec -a a -a a -- true", "-a a: the account, or the variable TOKENKEEPER_ACCESS_TOKEN_A, is named twice; name a variable of its own: -a a=NAME"},
		{"exec -a a-b -a a.b -- true", "-a a.b: the account, or the variable TOKENKEEPER_ACCESS_TOKEN_A_B, is named twice"},
		{"exec -a a=1 -- true", `-a a=1: "1" is no name of an environment variable`},
		{"exec -a a --on-new signal=HUP -- true", "--on-new signal=HUP takes --fd: the environment of a program that runs can't be changed"},
		{"exec -a a --on-new signal=KILL -- true", "invalid argument \"signal=KILL\" for \"--on-new\" flag: it is restart, nothing, or signal= and the name of a signal that programs can catch"},
		{"exec -a a --stop-within=-1s -- true", "--timeout, --min-valid and --stop-within can't be negative"},
		{"accounts lsit", `there is no command "tokenkeeper accounts lsit"; did you mean list?`},
		{"accounts rename a", "NEW is missing: tokenkeeper accounts rename OLD NEW"},
		{"accounts forget", "NAME is missing: tokenkeeper accounts forget NAME [--revoke] [--yes]"},
		{"alerts akc", `there is no command "tokenkeeper alerts akc"; did you mean ack?`},
		{"alerts ack", "ALERT is missing: tokenkeeper alerts ack ALERT"},
		{"alerts silence needs_login:saxo", "say for how long, e.g. --for 2h"},
		{"alerts silence needs_login:saxo --for 2x", `--for: "2x" is no duration; write it like 90s, 30m or 2h; see "tokenkeeper alerts silence --help"`},
		{"demo --for long", `--for: "long" is no duration; write it like 90s, 30m or 2h; see "tokenkeeper demo --help"`},
		{"refresh main --force=perhaps", `--force: "perhaps" is neither true nor false; see "tokenkeeper refresh --help"`},
		{"pause", "which account? tokenkeeper pause ACCOUNT…|--all [--for D] [--reason TEXT]"},
		{"pause main --all", "name accounts or give --all, not both: tokenkeeper pause ACCOUNT…|--all"},
		{"pause main --for 0s", "say for how long, e.g. --for 2h"},
		{"pause main --for 2x", `--for: "2x" is no duration; write it like 90s, 30m or 2h; see "tokenkeeper pause --help"`},
		{"resume", "which account? tokenkeeper resume ACCOUNT…|--all"},
		{"sinks tset", `there is no command "tokenkeeper sinks tset"; did you mean test?`},
		{"sinks xyzzy", `there is no command "tokenkeeper sinks xyzzy"; see "tokenkeeper sinks --help"`},
		{"sinks test", "NAME is missing: tokenkeeper sinks test NAME"},
		{"sinks redeliver", "NAME is missing: tokenkeeper sinks redeliver NAME [ACCOUNT]"},
		{"sinks redeliver a b c", `"c" is one argument too many: tokenkeeper sinks redeliver NAME [ACCOUNT]`},
		{"init a b", `"b" is one argument too many`},
		{"completion tcsh", `there is no completion for "tcsh"; there is for: bash, fish, powershell, zsh`},
		{"completion", "SHELL is missing: tokenkeeper completion SHELL; SHELL is one of: bash, fish, powershell, zsh"},
		{"status --nope", `unknown flag: --nope; see "tokenkeeper status --help"`},
		{"status -c /nonexistent/tk.yaml", "stat /nonexistent/tk.yaml: no such file or directory\nuntil that is mended the control socket is not known: name it with --socket"},
	} {
		command(t, "", strings.Fields(tt.args)...).says(t, exitUsage, "", "tokenkeeper: "+tt.want)
	}
}

func TestNoConfigurationAtAll(t *testing.T) {
	if _, err := os.Stat("/etc/tokenkeeper/tokenkeeper.yaml"); err == nil {
		t.Skip("this machine has a configuration")
	}
	t.Chdir(t.TempDir())
	command(t, "", "status").says(t, exitUsage, "", "there is no configuration at tokenkeeper.yaml, /etc/tokenkeeper/tokenkeeper.yaml: name one with -c", "if a supervisor runs, --socket names its control socket")
}

func TestNoSupervisor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	command(t, "", "diff", "--socket", socket).says(t, exitUsage, "", "tokenkeeper: no supervisor is running on "+socket)
	for _, args := range []string{"status", "restart schwab", "refresh main", "token main", "events"} {
		command(t, "", append(strings.Fields(args), "--socket", socket)...).says(t, exitFailure, "",
			"tokenkeeper: no supervisor is running on "+socket+`: start it with "tokenkeeper run"`)
	}
}

func TestVerbs(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr []string
	}{
		{"restart schwab", 0, "schwab: PID 4243 was replaced by PID 4250 (generation 2)\n", nil},
		{"restart nope", 1, "", []string{`tokenkeeper: there is no provider "nope"`}},
		{"refresh main", 0, "main: left alone: v12 expires 14:50:00 in 30m and is due 14:45:00 in 25m; --force gets the next one all the same\n", nil},
		{"refresh main --force", 0, "main: refreshed: v12 expires 14:50:00 in 30m; the next refresh is in 25m\n", nil},
		{"test main", 0, "main: the broker accepts version 7 (it took 120ms)\n", nil},
		{"revoke main --yes", 0, "main: the broker has ended its login (it took 120ms): version 7 is dead, and nothing is refreshed. Sinks keep the access token that they have, which may be dead before its end 14:50:00 in 30m. To use it again: tokenkeeper login main\n", nil},
		{"revoke main", 2, "", []string{"ends for good", "add --yes"}},
		{"revoke old --yes", 1, "", []string{"provider schwab knows no way"}},
		{"test old", 1, "", []string{"tokenkeeper: account old: version 7 does not work"}},
		{"token main", 0, "secret-access-token\n", nil},
		{"token main --header", 0, "Authorization: Bearer secret-access-token\n", nil},
		{"token main --header --json", 2, "", []string{"--header and --json exclude each other"}},
		{"token old --header", 1, "", []string{"the access token of old expired"}},
		{"token old", 1, "", []string{"the access token of old expired 14:20:00", "--allow-expired prints it"}},
		{"token old --allow-expired", 0, "secret-access-token\n", nil},
		{"token none", 1, "", []string{"tokenkeeper: account none needs a login"}},
		{"token main --min-valid 59s", 0, "secret-access-token\n", nil},
		{"token main --min-valid 0s --header", 0, "Authorization: Bearer secret-access-token\n", nil},
		{"token main --min-valid 5m", exitLater, "", []string{"tokenkeeper: account main: not yet"}},
		{"token main --min-valid 2h", 1, "", []string{"tokenkeeper: account main: none lives so long"}},
		{"token main --min-valid 5m --allow-shorter", 0, "secret-access-token\n", []string{"tokenkeeper: warning: account main: not yet; this one expires 14:21:00 in 60s"}},
		{"token main --min-valid 2h --allow-shorter", 0, "secret-access-token\n", []string{"warning: account main: none lives so long; this one expires"}},
		{"token old --min-valid 5m --allow-shorter", exitLater, "", []string{"tokenkeeper: account old: not yet"}},
		{"token main --if-version 2", 0, "secret-access-token\n", nil},
		{"token main --if-version 3", exitLater, "", []string{"tokenkeeper: account main: not yet"}},
		{"token none --if-version 3", exitPerson, "", []string{"tokenkeeper: account none needs a login"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			command(t, "", append(strings.Fields(tt.args), "--socket", socket)...).says(t, tt.code, tt.stdout, tt.stderr...)
		})
	}
}

func TestVerbsAsJSON(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	out := func(args ...string) string {
		t.Helper()
		got := command(t, "", append(args, "--json", "--socket", socket)...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("%v: exit code %d, stderr %s", args, got.code, got.stderr)
		}
		return got.stdout
	}
	if got := decode[control.RestartAnswer](t, out("restart", "schwab")); got.PID != 4250 {
		t.Errorf("restart: %+v", got)
	}
	if got := decode[control.RefreshAnswer](t, out("refresh", "main", "--force")); !got.Refreshed {
		t.Errorf("refresh: %+v", got)
	}
	if got := decode[control.AccountTestAnswer](t, out("test", "main")); got.Version != 7 || got.Took != 120*time.Millisecond {
		t.Errorf("test: %+v", got)
	}
	if got := decode[control.RevokeAnswer](t, out("revoke", "main", "--yes")); got.Version != 7 || !got.Revoked.Equal(now) {
		t.Errorf("revoke: %+v", got)
	}
	if got := decode[control.TokenAnswer](t, out("token", "main")); got.AccessToken != "secret-access-token" {
		t.Errorf("token: %+v", got)
	}
	if got := decode[control.TokenAnswer](t, out("token", "main", "--min-valid", "30s", "--if-version", "2")); got.Version != 3 {
		t.Errorf("a usable token: %+v", got)
	}
	late := failureIn(t, command(t, "", "token", "main", "--if-version", "3", "--json", "--socket", socket))
	if late.Code != control.CodeNotYet || late.ExitCode != exitLater || !late.RetryAt.Equal(now.Add(time.Minute)) {
		t.Errorf("a token that can't be had yet: %+v", late)
	}
	if got := decode[control.Status](t, out("status")); len(got.Accounts) != 4 || !got.Now.Equal(now) {
		t.Errorf("status: %+v", got)
	}
	for _, version := range []string{"version", "--version"} {
		if got := decode[control.VersionAnswer](t, out(version)); got.Go == "" || got.Protocol != 1 ||
			len(got.Providers) != 2 || len(got.Sinks) != 1 {
			t.Errorf("%s: %+v", version, got)
		}
	}
	if got := decode[completionScript](t, out("completion", "fish")); got.Shell != "fish" || !strings.Contains(got.Script, "complete -c tokenkeeper") {
		t.Errorf("completion: %+v", got)
	}
	if got := decode[control.Sinks](t, out("sinks", "list")); len(got.Sinks) != len(sampleSinks().Sinks) {
		t.Errorf("sinks list: %+v", got)
	}
}

func TestVersionByItsOption(t *testing.T) {
	want := command(t, "", "version")
	if got := command(t, "", "--version"); got != want || !strings.HasPrefix(got.stdout, "tokenkeeper ") {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A status of one account says of nothing else.
func TestStatusOfOneAccount(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	of := func(account string) control.Status {
		t.Helper()
		return decode[control.Status](t, command(t, "", "status", account, "--json", "--socket", socket).stdout)
	}
	if s := of("schwab-main"); len(s.Accounts) != 1 || s.Accounts[0].Name != "schwab-main" || len(s.Providers) != 1 || s.Providers[0].Name != "schwab" || len(s.Alerts) != 0 {
		t.Errorf("%+v", s)
	}
	if s := of("saxo-live"); len(s.Alerts) != 1 || s.Alerts[0].Sink != "hook" {
		t.Errorf("%+v", s.Alerts)
	}
	text := command(t, "", "status", "schwab-main", "--socket", socket).stdout
	if !strings.Contains(text, "\nschwab-main ") || strings.Contains(text, "saxo-live") || strings.Contains(text, "other ") {
		t.Errorf("got\n%s", text)
	}
	command(t, "", "status", "schwab-mian", "--socket", socket).says(t, exitFailure, "", `no account is named "schwab-mian"; did you mean "schwab-main"?`)
}

// A shell completes the names that stand in the configuration, of which no secret has to
// be set; what can't be read is no failure.
func TestNamesAreCompleted(t *testing.T) {
	w := newWorld(t, twoAccounts)
	broken := filepath.Join(w.dir, "broken.yaml")
	write(t, broken, "accounts: [")
	for _, tt := range []struct{ line, want string }{
		{"restart", "saxo\nschwab\n:4\n"},
		{"status", "saxo-live\nschwab-main\n:4\n"},
		{"status --watch", "saxo-live\nschwab-main\n:4\n"},
		{"token", "saxo-live\nschwab-main\n:4\n"},
		{"wait", "saxo-live\nschwab-main\n:4\n"},
		{"refresh", "saxo-live\nschwab-main\n:4\n"},
		{"test", "saxo-live\nschwab-main\n:4\n"},
		{"revoke", "saxo-live\nschwab-main\n:4\n"},
		{"pause", "saxo-live\nschwab-main\n:4\n"},
		{"resume saxo-live", "schwab-main\n:4\n"},
		{"login", "saxo-live\nschwab-main\n:4\n"},
		{"login schwab-main", ":4\n"},
		{"import", "saxo-live\nschwab-main\n:4\n"},
		{"import schwab-main", ":0\n"}, // a file
		{"spool adopt", "saxo-live\nschwab-main\n:4\n"},
		{"sinks test", "bot\ncache\n:4\n"},
		{"sinks disable", "bot\ncache\n:4\n"},
		{"sinks enable", "bot\ncache\n:4\n"},
		{"sinks restart", "bot\ncache\n:4\n"},
		{"sinks redeliver", "bot\ncache\n:4\n"},
		{"sinks redeliver cache", "saxo-live\nschwab-main\n:4\n"},
		{"completion", "bash\nfish\npowershell\nzsh\n:4\n"},
	} {
		complete := func(config, begun string) string {
			return command(t, "", append(append([]string{"__complete"}, strings.Fields(tt.line)...), "-c", config, begun)...).stdout
		}
		if got := complete(w.config, ""); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.line, got, tt.want)
		}
		if strings.HasPrefix(tt.want, "saxo-live") {
			if got := complete(w.config, "sch"); got != "schwab-main\n:4\n" {
				t.Errorf("%s sch: %q", tt.line, got)
			}
			if got := complete(broken, ""); got != ":4\n" {
				t.Errorf("%s, with a configuration that is broken: %q", tt.line, got)
			}
		}
	}
}

// A shell completes the alerts of the supervisor that last, and of these those that can
// be meant; nobody who does not answer is waited for.
func TestAlertsAreCompleted(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for _, tt := range []struct{ line, begun, want string }{
		{"alerts ack", "", "needs_login:schwab-two\ndisk_trouble:*\n:4\n"},
		{"alerts ack", "needs", "needs_login:schwab-two\n:4\n"},
		{"alerts silence", "", "needs_login:schwab-two\nrefresh_failing:saxo\ndisk_trouble:*\n:4\n"},
		{"alerts resume", "", "refresh_failing:saxo\n:4\n"},
		{"alerts ack disk_trouble:*", "", ":4\n"},
	} {
		complete := func(socket string) string {
			return command(t, "", append(append([]string{"__complete"}, strings.Fields(tt.line)...), "--socket", socket, tt.begun)...).stdout
		}
		if got := complete(socket); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.line, tt.begun, got, tt.want)
		}
		if got := complete(socket + "-gone"); got != ":4\n" {
			t.Errorf("%s %s, and nobody answers: %q", tt.line, tt.begun, got)
		}
	}
}

// The account of an option is completed like an argument.
func TestAccountsOfAnOptionAreCompleted(t *testing.T) {
	w := newWorld(t, twoAccounts)
	if got := command(t, "", "__complete", "exec", "-c", w.config, "-a", "sch").stdout; got != "schwab-main\n:4\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheSocketIsFoundWithoutTheSecrets(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	file := filepath.Join(t.TempDir(), "tk.yaml")
	write(t, file, "control: {socket: "+socket+"}\naccounts:\n  main: {provider: schwab, client_id: \"${env:NOT_SET_ANYWHERE}\"}\nnonsense: 1\n")
	command(t, "", "token", "main", "-c", file).says(t, exitOK, "secret-access-token\n")

	relative := filepath.Join(filepath.Dir(socket), "tk.yaml")
	write(t, relative, "state_dir: .\ncontrol: {socket: c.sock}\n")
	command(t, "", "token", "main", "-c", relative).says(t, exitOK, "secret-access-token\n")

	t.Setenv("TOKENKEEPER_STATE_DIR", filepath.Dir(socket))
	if err := os.Symlink(socket, filepath.Join(filepath.Dir(socket), "control.sock")); err != nil {
		t.Fatal(err)
	}
	usual := filepath.Join(t.TempDir(), "tk.yaml")
	write(t, usual, "accounts:\n  main: {provider: schwab, client_id: key}\n")
	command(t, "", "token", "main", "-c", usual).says(t, exitOK, "secret-access-token\n")
}

func TestImport(t *testing.T) {
	f := &fake{}
	socket, _, _ := serve(t, f)
	file := filepath.Join(t.TempDir(), "tokens.json")
	write(t, file, `{"token": "the-secret"}`)
	const taken = "main: imported as v1 (format schwab)\n  access token   expires 14:32:00 in 12m\n"

	command(t, "", "import", "main", file, "--socket", socket).says(t, exitOK,
		taken+"  refresh token  expires ~Sep 20 15:20 in 6d\n", "warning: the refresh token's deadline is uncertain")
	if string(f.imported) != `{"token": "the-secret"}` || f.forced {
		t.Errorf("the supervisor got %q, force %v", f.imported, f.forced)
	}
	command(t, "from stdin", "import", "main", "-", "--format", "schwab", "--force", "--socket", socket).says(t, exitOK,
		taken+"  refresh token  expires Sep 20 15:20 in 6d\n")
	if string(f.imported) != "from stdin" || !f.forced {
		t.Errorf("the supervisor got %q, force %v", f.imported, f.forced)
	}
	command(t, "", "import", "main", "-", "--socket", socket).says(t, exitFailure, "", "- is empty")
	command(t, strings.Repeat("x", maxTokenFile+1), "import", "main", "-", "--socket", socket).says(t, exitFailure, "", "is no token file")
	command(t, "", "import", "main", file+"x", "--socket", socket).says(t, exitFailure, "", "no such file")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "import", "main", pipe, "--socket", socket).says(t, exitFailure, "", "is a pipe into which nobody writes")
	command(t, "", "status", "-c", pipe).says(t, exitUsage, "", "it is a pipe (FIFO) and no file")
	if got := decode[control.ImportAnswer](t, command(t, "x", "import", "main", "-", "--json", "--socket", socket).stdout); got.Version != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestInit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tk.yaml")
	if got := command(t, "", "init", file); got.code != exitOK || !strings.HasPrefix(got.stdout, file+" is written.") {
		t.Fatalf("%+v", got)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	want := command(t, "", "init", "-").stdout
	if got, _ := os.ReadFile(file); string(got) != want || !strings.Contains(want, "accounts:") {
		t.Errorf("%s holds\n%s", file, got)
	}
	write(t, file, "mine")
	command(t, "", "init", file).says(t, exitFailure, "", "exists already", "--force overwrites it")
	if got, _ := os.ReadFile(file); string(got) != "mine" {
		t.Errorf("it was overwritten with\n%s", got)
	}
	if got := command(t, "", "init", "--force", "-c", file); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	if got, _ := os.ReadFile(file); string(got) != want {
		t.Errorf("it was not overwritten")
	}
}

func TestProviderVerbSaysWhatItIs(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"provider", "nope"}, nil, nil, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "one of: saxo, schwab") {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
