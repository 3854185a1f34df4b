package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
)

// givenTo gives a path to another user.
func givenTo(t *testing.T, uid int, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// inOneLine undoes what breaks lines at the width of a screen.
func inOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestFileInAText: check warns of a file of another user that a text for a shell names.
func TestFileInAText(t *testing.T) {
	usertest.NeedsRoot(t)
	w := newWorld(t, "")
	path := filepath.Join(t.TempDir(), "settings")
	write(t, path, "")
	write(t, w.config, "accounts: {a: {provider: saxo, client_id: id}}\nsinks: {s: {type: exec, command: [/bin/sh, -c, \". "+path+"; true\"]}}\n")
	const warned = "names a file that others can change"
	if got := command(t, "", "check", "-c", w.config); strings.Contains(inOneLine(got.stdout+got.stderr), warned) {
		t.Errorf("ours: %+v", got)
	}
	givenTo(t, usertest.Stranger, path)
	if got := command(t, "", "check", "-c", w.config); !strings.Contains(inOneLine(got.stdout+got.stderr), warned) {
		t.Errorf("another user's: %+v", got)
	}
}

// TestConfigurationOfAnotherUser: root runs nothing that another user named.
func TestConfigurationOfAnotherUser(t *testing.T) {
	usertest.NeedsRoot(t)
	const alice = usertest.Stranger
	home := func(t *testing.T) (w world, ran string) {
		t.Helper()
		dir := t.TempDir()
		ran = filepath.Join(dir, "ran")
		program := filepath.Join(dir, "program")
		write(t, program, "#!/bin/sh\ntouch "+ran+"\n")
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, "providers: {mine: {command: ["+program+"]}}\naccounts: {a: {provider: mine, client_id: id}}\n")
		return w, ran
	}
	runs := func(path string) bool { _, err := os.Stat(path); return err == nil }

	t.Run("a configuration of ours runs its program", func(t *testing.T) {
		w, ran := home(t)
		if got := command(t, "", "check", "-c", w.config); !runs(ran) {
			t.Errorf("the program was not asked who it is: %+v", got)
		}
	})
	t.Run("another user's is refused", func(t *testing.T) {
		w, ran := home(t)
		givenTo(t, alice, w.config)
		for verb, code := range map[string]int{"check": exitUsage, "run": exitConfig} {
			got := command(t, "", verb, "-c", w.config)
			if got.code != code || !strings.Contains(got.stdout+got.stderr, "--trust-config") || runs(ran) {
				t.Errorf("%s: %+v; its program ran: %t", verb, got, runs(ran))
			}
		}
		givenTo(t, alice, filepath.Join(filepath.Dir(ran), "program")) // as her programs are
		if got := command(t, "", "check", "--trust-config", "-c", w.config); !runs(ran) {
			t.Errorf("with --trust-config: %+v", got)
		}
	})
	t.Run("that of the caller of sudo is looked at", func(t *testing.T) {
		w, ran := home(t)
		givenTo(t, alice, w.config)
		sudo := func(args ...string) result {
			var stdout, stderr bytes.Buffer
			e := testEnv("", &stdout, &stderr)
			e.getenv = func(name string) string { return map[string]string{"SUDO_UID": strconv.Itoa(alice)}[name] }
			code := e.execute(t.Context(), args)
			return result{code, stdout.String(), stderr.String()}
		}
		got := sudo("check", "-c", w.config)
		if !strings.Contains(got.stdout, "no program that it names was started") || runs(ran) {
			t.Errorf("check: %+v; its program ran: %t", got, runs(ran))
		}
		got = sudo("run", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stderr, "--trust-config") || runs(ran) {
			t.Errorf("run: %+v", got)
		}
	})
	t.Run("a program of another user", func(t *testing.T) {
		w, ran := home(t)
		givenTo(t, alice, filepath.Join(filepath.Dir(ran), "program"))
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stdout, "trust: ["+strconv.Itoa(alice)+"]") || runs(ran) {
			t.Errorf("check: %+v", got)
		}
		b, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		write(t, w.config, "trust: ["+strconv.Itoa(alice)+"]\n"+string(b))
		if got := command(t, "", "check", "-c", w.config); !runs(ran) {
			t.Errorf("the user is trusted: %+v", got)
		}
	})
	t.Run("a script for an interpreter", func(t *testing.T) {
		w, ran := home(t)
		script := filepath.Join(filepath.Dir(ran), "program")
		write(t, w.config, "plugins: {dir: plugins}\nproviders: {mine: {command: [sh, "+script+"]}}\naccounts: {a: {provider: mine, client_id: id}}\n"+
			"sinks: {told: {type: exec, command: [env, sh, "+script+"]}}\n")
		if got := command(t, "", "check", "-c", w.config); !runs(ran) {
			t.Errorf("ours: %+v", got)
		}
		if err := os.Remove(ran); err != nil {
			t.Fatal(err)
		}
		givenTo(t, alice, script)
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stdout, "tk.yaml:2:34: providers.mine.command: "+script) ||
			!strings.Contains(got.stdout, "tk.yaml:4:47: sinks.told.command: "+script) || runs(ran) {
			t.Errorf("another user's: %+v", got)
		}
	})
	t.Run("what everybody may change", func(t *testing.T) {
		for name, path := range map[string]func(world, string) string{
			"the program":       func(_ world, ran string) string { return filepath.Join(filepath.Dir(ran), "program") },
			"its folder":        func(_ world, ran string) string { return filepath.Dir(ran) },
			"the configuration": func(w world, _ string) string { return w.config },
			"the plugins":       func(w world, _ string) string { return w.plugins },
		} {
			w, ran := home(t)
			if err := os.Chmod(path(w, ran), 0o777); err != nil {
				t.Fatal(err)
			}
			got := command(t, "", "check", "-c", w.config)
			if got.code != exitUsage || !strings.Contains(got.stdout, "can be changed by everybody on this machine") || runs(ran) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
	t.Run("a secret of another user", func(t *testing.T) {
		w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id, client_secret: \"${file:secret}\"}}\n")
		secret := filepath.Join(w.dir, "secret")
		write(t, secret, "CANARY")
		givenTo(t, alice, secret)
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stdout, "tk.yaml:3") || !strings.Contains(got.stdout, "belongs to user "+strconv.Itoa(alice)) {
			t.Errorf("check: %+v", got)
		}
	})
	// Whoever changes them is the one whom a webhook believes to be its receiver.
	t.Run("certificate authorities of another user", func(t *testing.T) {
		w := newWorld(t, twoAccounts)
		authorities := filepath.Join(w.dir, "ca.pem")
		write(t, authorities, "-----BEGIN CERTIFICATE-----\n")
		givenTo(t, alice, authorities)
		b, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("TK_TEST_ID", "app-key")
		t.Setenv("TK_TEST_SECRET", "app-secret-value")
		write(t, w.config, string(b)+"  hook: {type: webhook, url: \"https://bots.example\", secret: abcdefgh, ca_file: ca.pem}\n")
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stdout, "trust: ["+strconv.Itoa(alice)+"]") {
			t.Errorf("check: %+v", got)
		}
	})
	t.Run("a fallback in another user's folder", func(t *testing.T) {
		w := newWorld(t, twoAccounts)
		given := filepath.Join(w.dir, "given")
		if err := os.Mkdir(given, 0o755); err != nil {
			t.Fatal(err)
		}
		givenTo(t, alice, given)
		b, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("TK_TEST_ID", "app-key")
		t.Setenv("TK_TEST_SECRET", "app-secret-value")
		write(t, w.config, "fallback_dir: "+given+"/below\n"+string(b))
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitUsage || !strings.Contains(got.stdout, "fallback_dir: "+given) {
			t.Errorf("check: %+v", got)
		}
	})
}

// TestCheckNamesWhoIsTrusted: a folder of the bots' user, one of ours in a volume
// that everybody may write into, and sockets of the right user and of a stranger.
func TestCheckNamesWhoIsTrusted(t *testing.T) {
	usertest.NeedsRoot(t)
	const bots = usertest.Stranger
	w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id}}\nsinks:\n  cache: {type: file, path: bots/token.json}\n"+
		"  right: {type: unixsocket, path: bots/s}\n  wrong: {type: unixsocket, path: open/s}\n"+
		"  poke: {type: exec, signal: {pidfile: open/pid}}\n"+
		"  volume: {type: file, path: \"volume/{account}/token.json\", trust_folder: true}\n")
	for name, mode := range map[string]os.FileMode{"bots": 0o755, "open": 0o777 | os.ModeSticky, "volume": 0o777} {
		dir := filepath.Join(w.dir, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		givenTo(t, map[string]int{"bots": bots, "open": 0}[name], dir)
	}
	if err := os.Mkdir(filepath.Join(w.dir, "volume/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := w.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(w.dir, "open/pid"), "1234")
	givenTo(t, bots, filepath.Join(w.dir, "open/pid"))
	_ = usertest.Listen(t, filepath.Join(w.dir, "bots/s"), bots)
	_ = usertest.Listen(t, filepath.Join(w.dir, "open/s"), bots)
	got := command(t, "", "check", "-c", w.config)
	for _, want := range []string{
		"trusts user 34567, who owns " + filepath.Join(w.dir, "bots") + " ",
		"trusts whoever may write to " + filepath.Join(w.dir, "volume") + ", by trust_folder",
		"sinks.wrong.path: the socket " + filepath.Join(w.dir, "open/s") + " is that of user 34567, who is not trusted",
		"allow_uids: [34567]",
		"sinks.poke.signal.pidfile: nobody is signalled: " + filepath.Join(w.dir, "open/pid") + " (mode 0600, of user 34567, group 34567) belongs to user 34567, who may have put it there",
	} {
		if !strings.Contains(inOneLine(got.stdout), want) {
			t.Errorf("%q is not in:\n%s", want, got.stdout)
		}
	}
	for _, right := range []string{"sinks.right", "sinks.volume"} {
		if strings.Contains(got.stdout, right) {
			t.Errorf("%s is refused:\n%s", right, got.stdout)
		}
	}
	if r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout); len(r.Trusts) != 2 {
		t.Errorf("as JSON: %q", r.Trusts)
	}
}

// TestCheckSaysWhoCanReplaceTheStateDirectory: who owns the folder that it is
// in needs no right on it.
func TestCheckSaysWhoCanReplaceTheStateDirectory(t *testing.T) {
	usertest.NeedsRoot(t)
	w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id}}\n")
	write(t, w.config, "state_dir: theirs/state\naccounts: {a: {provider: saxo, client_id: id}}\n")
	theirs := filepath.Join(w.dir, "theirs")
	if err := errors.Join(os.Mkdir(theirs, 0o755), os.Mkdir(filepath.Join(theirs, "state"), 0o700)); err != nil {
		t.Fatal(err)
	}
	said := func() bool {
		for _, f := range decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout).Warnings {
			if f.Key == "state_dir" && strings.Contains(f.Message, theirs+" ") && strings.Contains(f.Message, "belongs to user") {
				return true
			}
		}
		return false
	}
	if said() {
		t.Error("a warning of a folder of our own")
	}
	givenTo(t, usertest.Stranger, theirs)
	if !said() {
		t.Error("no warning of a stranger's folder")
	}
}

// TestStateDirectoryOfAnotherUser: root leaves the state directory of a service's
// user alone, since what he makes there would lock the service out, and says who
// has to run the command.
func TestStateDirectoryOfAnotherUser(t *testing.T) {
	usertest.NeedsRoot(t)
	w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id}}\n")
	write(t, w.config, "state_dir: theirs\naccounts: {a: {provider: saxo, client_id: id}}\n")
	state, token := filepath.Join(w.dir, "theirs"), filepath.Join(w.dir, "token.json")
	write(t, token, "{}")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	givenTo(t, usertest.Stranger, state)
	if got := command(t, "", "check", "-c", w.config); !strings.Contains(inOneLine(got.stdout), "were tried as root (0), and the state directory is that of user 34567") {
		t.Errorf("with whose rights is not told:\n%s", got.stdout)
	}
	for _, verb := range [][]string{{"run"}, {"check"}, {"adopt"}, {"import", "a", token}} {
		got := command(t, "", append(verb, "-c", w.config)...)
		said := inOneLine(got.stdout + got.stderr)
		if got.code == 0 || !strings.Contains(said, `sudo -u '#34567' tokenkeeper …", a service with User=34567`) {
			t.Errorf("%q: %+v", verb, got)
		}
	}
	if made, err := os.ReadDir(state); err != nil || len(made) != 0 {
		t.Errorf("root made %v there, %v", made, err)
	}
}

// TestCheckSaysWhatAPinnedScriptIsNot: the checksum of a script says nothing of
// its interpreter.
func TestCheckSaysWhatAPinnedScriptIsNot(t *testing.T) {
	w := newWorld(t, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(w.dir, "script")
	content := "#!/bin/sh\nexec " + self + " provider saxo\n"
	write(t, script, content)
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, w.config, fmt.Sprintf("state_dir: state\nproviders: {saxo: {command: [%s], sha256: %x}}\naccounts: {a: {provider: saxo, client_id: id}}\n",
		script, sha256.Sum256([]byte(content))))
	got := command(t, "", "check", "-c", w.config)
	if want := "providers.saxo.sha256: " + script + " is a script, and the checksum pins it alone: not its interpreter, /bin/sh"; !strings.Contains(got.stdout, want) {
		t.Errorf("%q is not in:\n%s", want, got.stdout)
	}
}
