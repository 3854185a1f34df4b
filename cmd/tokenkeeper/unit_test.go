package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// Of a unit everything is taken that decides what the service sees, and nothing that
// decides how it is started and watched.
func TestReadUnit(t *testing.T) {
	u, err := readUnit(readText(t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.service")) + `
# /etc/systemd/system/tokenkeeper.service.d/override.conf
[Unit]
User=nobody
[Service]
LoadCredential=secret:/etc/tokenkeeper/secret
; a remark
Environment="A=b c" \
  D=e
ReadWritePaths=
ReadWritePaths = /var/lib/bots
`)
	if err != nil {
		t.Fatal(err)
	}
	if u.program != "/usr/local/bin/tokenkeeper" || u.config != "/etc/tokenkeeper/tokenkeeper.yaml" {
		t.Errorf("it runs %q with %q", u.program, u.config)
	}
	for _, want := range []string{
		"DynamicUser=yes", "User=tokenkeeper", "StateDirectory=tokenkeeper", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "CapabilityBoundingSet=",
		"SystemCallFilter=@system-service", "LoadCredential=secret:/etc/tokenkeeper/secret", `Environment="A=b c"    D=e`, "ReadWritePaths=", "ReadWritePaths=/var/lib/bots",
	} {
		if !slices.Contains(u.settings, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	for _, s := range u.settings {
		key, _, _ := strings.Cut(s, "=")
		if slices.Contains([]string{"Type", "Restart", "RestartSec", "WatchdogSec", "KillMode", "RemoveIPC", "FileDescriptorStoreMax", "OOMScoreAdjust"}, key) || s == "User=nobody" || s == "RuntimeDirectory=tokenkeeper" {
			t.Errorf("it has %s", s)
		}
	}
	for line, want := range map[string][3]string{
		"-/opt/tokenkeeper run --config=/etc/a.yaml":                       {"/opt/tokenkeeper", "/etc/a.yaml", ""},
		`"/opt/tokenkeeper" run --state-dir /srv/s --config "/etc/b.yaml"`: {"/opt/tokenkeeper", "/etc/b.yaml", "/srv/s"},
		"/opt/tokenkeeper run --state-dir=/srv/s":                          {"/opt/tokenkeeper", "", "/srv/s"},
	} {
		if program, config, stateDir := commandOf(line); [3]string{program, config, stateDir} != want {
			t.Errorf("%s: %q, %q, %q", line, program, config, stateDir)
		}
	}
	const runs = "[Service]\nExecStart=/opt/tokenkeeper run --state-dir=/srv/s\n"
	if u, err := readUnit(runs); err != nil || !slices.Contains(u.settings, "Environment=TOKENKEEPER_STATE_DIR=/srv/s") {
		t.Errorf("where its state is does not come along: %+v, %v", u, err)
	}
	for text, want := range map[string]string{
		"[Service]\nExecStart=/usr/bin/env tokenkeeper run\n":         "it does not start tokenkeeper",
		"[Service]\nExecStart=/opt/tokenkeeper run -c /etc/%i.yaml\n": "ExecStart holds a %",
		runs + "Environment=A=canary-%n\n":                            "its Environment holds a %",
		runs + "DynamicUser=yes\n":                                    "write User= into it",
	} {
		if _, err := readUnit(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A service runs as its unit says, or as somebody who was written there before.
func TestWhoAUnitIs(t *testing.T) {
	for name, tt := range map[string]struct {
		unit unit
		uid  int
		user string
		is   bool
	}{
		"the same":               {unit{user: "bot"}, 1001, "bot", true},
		"another":                {unit{user: "bot"}, 1002, "keeper", false},
		"another, by its end":    {unit{user: "bot"}, 1002, "robot", false},
		"made up":                {unit{user: "keeper", dynamic: true}, 61200, "keeper", true},
		"there, and not made up": {unit{user: "keeper", dynamic: true}, 1001, "keeper", true},
		"made up no more":        {unit{user: "keeper"}, 61200, "keeper", false},
		"root":                   {unit{}, 0, "", true},
		"root no more":           {unit{user: "bot"}, 0, "root", false},
		"root now":               {unit{user: "root"}, 1001, "bot", false},
		"by number":              {unit{user: "1001"}, 1001, "bot", true},
		"by another number":      {unit{user: "1002"}, 1001, "bot", false},
	} {
		if is := tt.unit.is(tt.uid, []byte("HOME=/\x00USER="+tt.user+"\x00")); is != tt.is {
			t.Errorf("%s: %t", name, is)
		}
	}
}

// The command line goes to the service's own program, the file that is imported with
// it, and its exit code comes back.
func TestVerbsOfAUnit(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := t.TempDir()
	for name, script := range map[string]string{
		"systemctl":   "#!/bin/sh\n[ $1 = cat ] || { cat main.pid; exit; }\necho '[Service]'; echo 'ExecStart=/usr/local/bin/tokenkeeper run -c /etc/tk.yaml'; echo 'User=bot'\n",
		"systemd-run": "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done; cat; exit 7\n",
	} {
		write(t, filepath.Join(dir, name), script)
		if err := os.Chmod(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Chdir(dir)
	write(t, "main.pid", "0\n")
	token := filepath.Join(dir, "token.json")
	write(t, token, "what the file holds")
	for args, want := range map[string]string{
		"check --verbose --unit tokenkeeper":                   "--\n/usr/local/bin/tokenkeeper\ncheck\n--verbose=true\n--config=/etc/tk.yaml\n--\n",
		"check --unit tokenkeeper --json -c /etc/other.yaml":   "--\n/usr/local/bin/tokenkeeper\ncheck\n--config=/etc/other.yaml\n--json=true\n--\n",
		"import main " + token + " --unit tokenkeeper --force": "--\n/usr/local/bin/tokenkeeper\nimport\n--force=true\n--config=/etc/tk.yaml\n--\nmain\n-\nwhat the file holds",
	} {
		got := command(t, "", strings.Fields(args)...)
		if got.code != 7 || got.stderr != "" || !strings.HasSuffix(got.stdout, want) || !strings.Contains(got.stdout, "--property=User=bot\n") {
			t.Errorf("%s: %+v, want at its end\n%s", args, got, want)
		}
	}
	write(t, "main.pid", "1min 15s\n") // the answer to whatever it is asked
	if got := command(t, "", "check", "--unit", "tokenkeeper"); !strings.Contains(got.stdout, "--setenv=UNIT_STOPS_WITHIN=tokenkeeper 1min 15s\n") {
		t.Errorf("it does not hear how long systemd waits: %+v", got)
	}
	write(t, "main.pid", strconv.Itoa(os.Getpid()))
	if got := command(t, "", "check", "--unit", "tokenkeeper"); got.code != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, "stop it first") {
		t.Errorf("one that runs as another user than its unit names: %+v", got)
	}
	write(t, filepath.Join(dir, "systemctl"), "#!/bin/sh\necho 'No files found for nobody.service.' >&2; exit 1\n")
	if got := command(t, "", "check", "--unit", "nobody"); got.code != exitFailure || !strings.Contains(got.stderr, "does not know the service nobody: No files found") {
		t.Errorf("an unknown one: %+v", got)
	}
}

// A service that systemd gives less time to end than an answer may take is warned of, with
// the line to write; one with enough, or of which nobody tells, is not.
func TestCheckComparesTheTimesOfAStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tk.yaml")
	write(t, path, "accounts:\n  one: {}\n  two:\n    refresh:\n      timeout: 90s\n")
	cfg := &config.Config{Accounts: map[string]config.Account{
		"one": {Name: "one", Refresh: config.Refresh{Timeout: 30 * time.Second}},
		"two": {Name: "two", Refresh: config.Refresh{Timeout: 90 * time.Second}},
	}}
	for told, warned := range map[string]bool{
		"tokenkeeper.service 45s": true, "tokenkeeper.service 1min 44s": true, "tokenkeeper.service 1min 45s": false,
		"tokenkeeper.service infinity": false, "": false,
	} {
		r := report{Config: path}
		if warnOfStop(&r, cfg, told); len(r.Warnings) > 0 != warned {
			t.Errorf("%q: %v, want a warning: %t", told, r.Warnings, warned)
		}
		if !warned {
			continue
		}
		w := r.Warnings[0]
		if w.Line != 5 || w.Key != "accounts.two.refresh.timeout" || w.Hint != "write TimeoutStopSec=105 below [Service] by: systemctl edit tokenkeeper" || !strings.Contains(w.Message, "would be cut off") {
			t.Errorf("%q: %+v", told, w)
		}
	}
	w := newWorld(t, strings.Replace(twoAccounts, "refresh: {", "refresh: {timeout: 90s, ", 1))
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	e := testEnv("", new(bytes.Buffer), new(bytes.Buffer))
	e.getenv = func(name string) string { return map[string]string{envStops: "tokenkeeper.service 45s"}[name] }
	r, err := e.check(t.Context(), w.config, checkStateDir, false)
	if err != nil || !slices.ContainsFunc(r.Warnings, func(f finding) bool {
		return f.Key == "accounts.saxo-live.refresh.timeout" && strings.Contains(f.Hint, "TimeoutStopSec=105")
	}) {
		t.Errorf("check warns of %+v, %v", r.Warnings, err)
	}
	none := report{Config: path}
	if warnOfStop(&none, &config.Config{}, "tokenkeeper.service 5s"); len(none.Warnings) > 0 {
		t.Errorf("without an account: %v", none.Warnings)
	}
}

// Root, who asks in the service's place, is told of its folders as systemd tells the
// service, unless he names others.
func TestWithServiceFolders(t *testing.T) {
	u, err := readUnit("[Service]\nExecStart=/usr/bin/tokenkeeper run -c /etc/t.yaml\nStateDirectory=tokenkeeper tokens:alias\nLogsDirectory=tokenkeeper\nCacheDirectory=tokenkeeper\n")
	if err != nil {
		t.Fatal(err)
	}
	got := u.addFolders([]string{"HOME=/root", "CACHE_DIRECTORY=/mnt/cache"})
	want := []string{"HOME=/root", "CACHE_DIRECTORY=/mnt/cache", "STATE_DIRECTORY=/var/lib/tokenkeeper:/var/lib/tokens", "LOGS_DIRECTORY=/var/log/tokenkeeper"}
	if !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

// Where the service is installed, root is told of the way to check as it would.
func TestCheckPointsToTheService(t *testing.T) {
	root := t.TempDir()
	try := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(string) string { return "" }
	service := func(name string) string { return map[string]string{"INVOCATION_ID": "0123"}[name] }
	asks := func(when, want string, uid int, getenv func(string) string) {
		t.Helper()
		if got := installedUnit(root, uid, getenv); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	units := filepath.Join(root, "usr/lib/systemd/system")
	try(os.MkdirAll(units, 0o755))
	try(os.WriteFile(filepath.Join(units, usualUnit), nil, 0o644))
	asks("without systemd", "", 0, shell)
	try(os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755))
	asks("root, in a shell", usualUnit, 0, shell)
	asks("another user", "", 1000, shell)
	asks("the service itself", "", 0, service)
	try(os.MkdirAll(filepath.Join(root, "etc/systemd/system"), 0o755))
	try(os.Symlink("/dev/null", filepath.Join(root, "etc/systemd/system", usualUnit)))
	asks("the service is masked", "", 0, shell)
	try(os.Remove(filepath.Join(units, usualUnit)), os.Remove(filepath.Join(root, "etc/systemd/system", usualUnit)))
	asks("there is no service", "", 0, shell)

	r := report{CheckedAs: "root", ServiceUser: "tokenkeeper", unit: usualUnit}
	if got := r.userLine(); !strings.HasSuffix(got, "tries: tokenkeeper check --unit tokenkeeper.service") || strings.Contains(got, "run check as") {
		t.Error(got)
	}
}
