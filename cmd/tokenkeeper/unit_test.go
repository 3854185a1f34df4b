package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
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
	for line, want := range map[string][2]string{
		"-/opt/tokenkeeper run --config=/etc/a.yaml":    {"/opt/tokenkeeper", "/etc/a.yaml"},
		`"/opt/tokenkeeper" run --config "/etc/b.yaml"`: {"/opt/tokenkeeper", "/etc/b.yaml"},
		"/opt/tokenkeeper run":                          {"/opt/tokenkeeper", ""},
	} {
		if program, config := commandOf(line); program != want[0] || config != want[1] {
			t.Errorf("%s: %q, %q", line, program, config)
		}
	}
	if _, err := readUnit("[Service]\nExecStart=/usr/bin/env tokenkeeper run\n"); err == nil {
		t.Error("a unit that runs another program is taken")
	}
}

// The command line goes to the service's own program, the file that is imported with
// it, and its exit code comes back.
func TestVerbsOfAUnit(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := t.TempDir()
	for name, script := range map[string]string{
		"systemctl":   "#!/bin/sh\necho '[Service]'; echo 'ExecStart=/usr/local/bin/tokenkeeper run -c /etc/tk.yaml'; echo 'User=bot'\n",
		"systemd-run": "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done; cat; exit 7\n",
	} {
		write(t, filepath.Join(dir, name), script)
		if err := os.Chmod(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
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
	write(t, filepath.Join(dir, "systemctl"), "#!/bin/sh\necho 'No files found for nobody.service.' >&2; exit 1\n")
	if got := command(t, "", "check", "--unit", "nobody"); got.code != exitFailure || !strings.Contains(got.stderr, "does not know the service nobody: No files found") {
		t.Errorf("an unknown one: %+v", got)
	}
}
