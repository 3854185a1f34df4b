package main

import (
	"bytes"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// aboutTrust is what check says of what somebody else could have put there.
var aboutTrust = regexp.MustCompile(`belongs to|can be changed by|is a symbolic link|not trusted|not believed|may be opened by`)

// TestExamplesAreTrusted: whoever runs Tokenkeeper as the examples and the unit
// say is not refused for a folder, a file or a socket, whether the bots are another
// user or one in whose group the service is.
func TestExamplesAreTrusted(t *testing.T) {
	usertest.NeedsRoot(t)
	setExampleSecrets(t)
	layouts := map[string]machineLayout{
		"the bots' user":   {owner: usertest.Stranger, group: usertest.Stranger, mode: 0o755},
		"open to everyone": {mode: 0o777, refused: true},
	}
	if bots, err := user.Lookup("daemon"); err == nil && bots.Uid == "1" && bots.Gid == "1" { // with a group of its own on every machine
		layouts["the unit's: chgrp bots, chmod 2770"] = machineLayout{group: 1, mode: 0o770 | os.ModeSetgid}
	}
	refused := 0
	for layout, m := range layouts {
		for example, text := range exampleConfigurations(t) {
			at := -1
			found, err := findings(t, m.build(t, text))
			if err == nil {
				at = slices.IndexFunc(found, func(f finding) bool { return aboutTrust.MatchString(f.Message) })
			}
			switch {
			case err != nil:
				t.Errorf("%s, %s: %v", example, layout, err)
			case at >= 0 && m.refused:
				refused++
			case at >= 0:
				t.Errorf("%s, %s: %s", example, layout, found[at])
			}
		}
	}
	if refused < 5 {
		t.Errorf("only %d examples name what is in an open folder: nothing was seen", refused)
	}
}

// setExampleSecrets sets what the examples refer to.
func setExampleSecrets(t *testing.T) {
	t.Helper()
	for _, name := range []string{"SCHWAB_APP_KEY", "SCHWAB_APP_SECRET", "SAXO_APP_KEY", "SAXO_APP_SECRET", "HOOK_TOKEN", "SMTP_PASSWORD", "ACME_CLIENT_ID", "ACME_CLIENT_SECRET", "BROKER_CLIENT_ID", "BROKER_CLIENT_SECRET", "METRICS_TOKEN"} {
		t.Setenv(name, "of-the-"+name)
	}
	t.Setenv("HOOK_SECRET", "whsec_MTIz")
	t.Setenv("NTFY_URL", "ntfy://ntfy.sh/topic")
	t.Setenv("HEARTBEAT_URL", "https://hc-ping.com/uuid")
}

// findings are what check says of a configuration, but for that it starts no
// program, which takes its time and is refused by the same rule as it is here.
func findings(t *testing.T, file string) ([]finding, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cfg, warnings, err := config.Load(testEnv("", &stdout, &stderr).source(file))
	if err != nil {
		return nil, err
	}
	r := report{Config: file}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, finding(w))
	}
	r.addOpenLocks(cfg)
	r.addObstacles(cfg)
	r.addStateDir(checkStateDir(t.Context(), cfg), cfg)
	return append(r.Problems, r.Warnings...), nil
}

// exampleConfigurations are those of configs, of every README, and what init writes,
// by where they stand.
func exampleConfigurations(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"init": string(config.Reference())}
	files, err := filepath.Glob(filepath.Join(repository, "configs", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		found[filepath.Base(file)] = readText(t, file)
	}
	for _, language := range []string{"yaml", "yaml fragment"} {
		for _, file := range readmes(t) {
			for i, block := range fenced(t, file, language) {
				found[inRepository(t, file)+", "+language+" "+strconv.Itoa(i+1)] = block
			}
		}
	}
	unit := readText(t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.service"))
	credential := regexp.MustCompile(`(?m)^#   (client_secret: .*CREDENTIALS_DIRECTORY.*)$`).FindStringSubmatch(unit)
	if credential == nil {
		t.Fatal("the unit shows no credential")
	}
	found["the unit's credential"] = "accounts:\n  a:\n    provider: schwab\n    client_id: id\n    " + credential[1] + "\n"
	return found
}

// machineLayout is who owns the bots' folders, and who may change them.
type machineLayout struct {
	owner, group int
	mode         os.FileMode
	refused      bool
}

// build makes a machine in a folder, with everything that the examples name, and
// returns the configuration, whose paths are in it.
func (m machineLayout) build(t *testing.T, text string) (configuration string) {
	t.Helper()
	root, err := os.MkdirTemp("", "tk") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	at := func(path string) string { return filepath.Join(root, path) }
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(root, 0o755))
	for _, dir := range []string{"etc/tokenkeeper/secrets", "etc/tokenkeeper/certs", "var/lib/bots", "run/bot", "run/tokenkeeper", "mnt/other-disk", "opt/other", "opt/acme", "opt/tokenkeeper",
		"usr/local/bin", "usr/local/lib/tokenkeeper/plugins", "usr/local/lib/tokenkeeper-provider-python-broker", "usr/local/lib/tokenkeeper-bots-schwab"} {
		must(os.MkdirAll(at(dir), 0o755))
	}
	// What systemd makes (systemd.exec(5)): the state directory of a user that is
	// made up, and the credentials.
	must(os.MkdirAll(at("var/lib/private"), 0o700), os.Mkdir(at("var/lib/private/tokenkeeper"), 0o700), os.Symlink("private/tokenkeeper", at("var/lib/tokenkeeper")),
		os.MkdirAll(at("run/credentials/tokenkeeper.service"), 0o500))
	t.Setenv("STATE_DIRECTORY", at("var/lib/tokenkeeper"))
	t.Setenv("CREDENTIALS_DIRECTORY", at("run/credentials/tokenkeeper.service"))
	for file, content := range map[string]string{
		"run/credentials/tokenkeeper.service/schwab_app_secret": "secret", "run/credentials/tokenkeeper.service/heartbeat_url": "https://hc-ping.com/uuid",
		"etc/tokenkeeper/secrets/schwab.yaml": "app_key: key\napp_secret: secret\n",
		"etc/tokenkeeper/secrets/redis.yaml":  "password: secret\n",
		"opt/other/provider":                  "#!/bin/sh\n", "opt/acme/tokenkeeper-provider-acme": "#!/bin/sh\n", "opt/tokenkeeper/tokenkeeper-sink-gcp-secret-manager": "#!/bin/sh\n",
		"usr/local/lib/tokenkeeper-provider-python-broker/tokenkeeper-provider-python-broker": "#!/bin/sh\n",
		"usr/local/lib/tokenkeeper-bots-schwab/schwabdev_tokens.py":                           "#!/bin/sh\n",
		"usr/local/bin/on-token": "#!/bin/sh\n", "usr/local/lib/tokenkeeper/plugins/tokenkeeper-provider-acme": "#!/bin/sh\n",
		"usr/local/lib/tokenkeeper/plugins/tokenkeeper-sink-redis": "#!/bin/sh\n", "usr/local/lib/tokenkeeper/plugins/tokenkeeper-sink-gcp-secret-manager": "#!/bin/sh\n",
	} {
		must(os.WriteFile(at(file), []byte(content), 0o600), os.Chmod(at(file), 0o700))
	}
	for file, content := range map[string]string{
		"var/lib/bots/saxo_tokens.json":      `{"access_token": "A", "refresh_token": "R", "token_expiry": "2026-07-01T14:29:00.654321", "app_key": "k", "app_secret": "s"}`,
		"var/lib/bots/saxo_tokens.json.lock": "", "var/lib/bots/schwab_tokens.json": "{}", "var/lib/bots/token.ini": "",
	} {
		must(os.WriteFile(at(file), []byte(content), 0o600), os.Chown(at(file), m.owner, m.group))
	}
	must(os.WriteFile(at("run/bot.pid"), []byte("4194304"), 0o600), os.Chown(at("run/bot.pid"), m.owner, m.group))
	for _, dir := range []string{"var/lib/bots", "run/bot"} {
		must(os.Chown(at(dir), m.owner, m.group), os.Chmod(at(dir), m.mode))
	}
	go answerOK(usertest.Listen(t, at("run/bot/token.sock"), m.owner))
	configuration = at("etc/tokenkeeper/tokenkeeper.yaml")
	if !regexp.MustCompile(`(?m)^accounts:`).MatchString(text) {
		text += "\naccounts: {saxo-live: {provider: saxo, client_id: id}, schwab-main: {provider: schwab, client_id: id}}\n"
	}
	if !regexp.MustCompile(`(?m)^plugins:`).MatchString(text) {
		text += "\nplugins: {dir: /usr/local/lib/tokenkeeper/plugins}\n"
	}
	text = strings.Replace(text, "sha256: …", "sha256: "+strings.Repeat("0", 64), 1)
	text = regexp.MustCompile(`([\s"\[{:])/(var|run|mnt|opt|usr|etc)/`).ReplaceAllString(text, "${1}"+strings.ReplaceAll(root, "$", "$$")+"/${2}/")
	must(os.WriteFile(configuration, []byte(text), 0o644))
	return configuration
}

// TestFilesOfSettings: check refuses the file that a setting names, if others can
// change it and the plugin says that it steers.
func TestFilesOfSettings(t *testing.T) {
	usertest.NeedsRoot(t)
	path := filepath.Join(t.TempDir(), "ca.pem")
	write(t, path, "")
	known := []sdk.Setting{{Name: "ca_file", Steers: true}, {Name: "target"}}
	settings := map[string]string{"ca_file": path, "target": path}
	if got := namedProblems(&keyLines{file: "x.yaml"}, []string{"sinks", "s"}, known, settings, nil); len(got) != 0 {
		t.Errorf("ours: %v", got)
	}
	givenTo(t, usertest.Stranger, path)
	got := namedProblems(&keyLines{file: "x.yaml"}, []string{"sinks", "s"}, known, settings, nil)
	if len(got) != 1 || got[0].Key != "sinks.s.settings.ca_file" || !strings.Contains(got[0].Message, "trust: [34567]") {
		t.Errorf("another user's: %v", got)
	}
	if got := namedProblems(&keyLines{file: "x.yaml"}, []string{"sinks", "s"}, known, settings, []int{usertest.Stranger}); len(got) != 0 {
		t.Errorf("of one who is trusted: %v", got)
	}
}

// TestSocketsOfSettings: check refuses the socket that a setting names, if somebody
// has opened it whom the setting beside it does not name.
func TestSocketsOfSettings(t *testing.T) {
	usertest.NeedsRoot(t)
	dir, err := os.MkdirTemp("", "tk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	_ = usertest.Listen(t, path, usertest.Stranger)
	known := []sdk.Setting{{Name: "address", SocketUsers: "allow_uids"}, {Name: "allow_uids"}}
	for _, tc := range []struct{ address, users, key, message string }{
		{path, "", "address", "is that of user 34567, who is not trusted"},
		{path, "34567", "", ""},
		{path, "nobody-of-this-machine", "allow_uids", "has no user"},
		{filepath.Join(dir, "none"), "", "", ""},
		{"127.0.0.1:6379", "", "", ""},
	} {
		settings := map[string]string{"address": tc.address}
		if tc.users != "" {
			settings["allow_uids"] = tc.users
		}
		got := namedProblems(&keyLines{file: "x.yaml"}, []string{"sinks", "s"}, known, settings, nil)
		if tc.key == "" && len(got) > 0 || tc.key != "" && (len(got) == 0 || got[0].Key != "sinks.s.settings."+tc.key || !strings.Contains(got[0].Message, tc.message)) {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
