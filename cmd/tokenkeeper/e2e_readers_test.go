package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestReadersOfAService: of a service with a user and a runtime folder of its own, a bot
// that is another user, and one in a group, get the tokens of the account that the
// configuration gives them, by the verbs that are for bots, and nothing else.
func TestReadersOfAService(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	usertest.NeedsRoot(t)
	const service, bot, traders, canary = usertest.Stranger + 1, usertest.Stranger + 2, usertest.Stranger + 3, "canary-live"
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("there is no setpriv")
	}
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	write(t, s.config, fmt.Sprintf("control:\n  socket: %q\n  readers: [{user: %d, accounts: [%s]}, {group: %d, accounts: [%[3]s]}]\naccounts:\n", s.path("run/control.sock"), bot, saxoAccount, traders)+
		accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+accountYAML(canary, saxo, saxo.TokenURL(), "before_expiry: 5m"))
	program, as := s.program, s.path("as")
	write(t, as, fmt.Sprintf("#!/bin/sh\nexec %s --reuid %d --regid %[2]d --clear-groups --no-new-privs %s \"$@\"\n", setpriv, service, program))
	s.program, s.env = as, append(s.env, "STATE_DIRECTORY="+s.path("state"), "RUNTIME_DIRECTORY="+s.path("run"))
	for dir, mode := range map[string]os.FileMode{"state": 0o700, "run": 0o700} { // systemd.exec(5)
		if err := errors.Join(os.Mkdir(s.path(dir), mode), os.Chown(s.path(dir), service, service)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(as, 0o755), os.Chmod(s.config, 0o644), os.Chmod(s.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if checked := s.tool(t, "", "check"); !strings.Contains(inOneLine(checked.stdout+checked.stderr), "RuntimeDirectoryMode=0711") {
		t.Errorf("check does not say that the readers don't get at the socket: %+v", checked)
	}
	if err := os.Chmod(s.path("run"), 0o711); err != nil { // by the README's line
		t.Fatal(err)
	}
	if checked := s.tool(t, "", "check"); checked.code != exitOK || strings.Contains(checked.stdout, "RuntimeDirectoryMode") {
		t.Errorf("check: %+v", checked)
	}
	r := startRun(t, s)
	r.Client = control.NewClient(s.path("run/control.sock"))
	r.until(func(control.Status) bool { return true })
	for _, account := range []string{saxoAccount, canary} {
		g := saxo.Grant(account)
		if _, err := r.Client.Import(t.Context(), control.ImportRequest{Account: account, Body: tokenFileOf(t, g, format.SaxoCache, g.IssuedAt)}); err != nil {
			t.Fatal(err)
		}
	}
	// is runs a verb as a user in groups, and returns all that it shows.
	is := func(uid int, groups string, args ...string) (string, error) {
		args = append([]string{"--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), "--groups", groups, program, args[0], "-c", s.config}, args[1:]...)
		cmd := exec.Command(setpriv, args...)
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	held, err := r.Client.Token(t.Context(), saxoAccount)
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := r.Client.Token(t.Context(), canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []struct {
		uid    int
		groups string
	}{{bot, strconv.Itoa(bot)}, {usertest.Stranger + 4, strconv.Itoa(traders)}} {
		for _, args := range [][]string{
			{"token", saxoAccount}, {"token", saxoAccount, "--min-valid", "1m"}, {"wait", saxoAccount, "--timeout", "1m"},
			{"exec", "-a", saxoAccount, "--", "sh", "-c", "echo $TOKENKEEPER_ACCESS_TOKEN"}, {"status"}, {"status", saxoAccount, "--json"},
		} {
			out, err := is(who.uid, who.groups, args...)
			shows := held.AccessToken
			if args[0] == "wait" || args[0] == "status" {
				shows = saxoAccount
			}
			if err != nil || !strings.Contains(out, shows) || strings.Contains(out, canary) || strings.Contains(out, hidden.AccessToken) {
				t.Errorf("user %d: %v: %v\n%s", who.uid, args, err, out)
			}
		}
		for _, args := range [][]string{
			{"token", canary}, {"refresh", saxoAccount, "--force"}, {"login", saxoAccount, "--no-wait"}, {"sinks"}, {"alerts"}, {"diff"}, {"restart", "saxo"}, {"adopt"},
		} {
			out, err := is(who.uid, who.groups, args...)
			if err == nil || !strings.Contains(inOneLine(out), fmt.Sprintf("user %d may not use the control API for ", who.uid)) || strings.Contains(out, hidden.AccessToken) {
				t.Errorf("user %d: %v: %v\n%s", who.uid, args, err, out)
			}
		}
	}
	// A broker's API has refused the newest: a newer one comes, and the program that has the
	// old one begins again with it.
	follower := exec.Command(setpriv, "--reuid", strconv.Itoa(bot), "--regid", strconv.Itoa(bot), "--clear-groups", program, "exec", "-c", s.config,
		"-a", saxoAccount, "--on-new", "restart", "--", "sh", "-c", "echo $TOKENKEEPER_ACCESS_TOKEN; exec sleep 600")
	follower.Dir, follower.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	out, err := follower.StdoutPipe()
	if err := errors.Join(err, follower.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = follower.Process.Signal(syscall.SIGTERM); _ = follower.Wait() })
	tokens := make(chan string, 10)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			tokens <- lines.Text()
		}
	}()
	if got := waittest.Receive(t, "what its program begins with", tokens); got != held.AccessToken {
		t.Error("exec begins with another token")
	}
	newer, err := is(bot, strconv.Itoa(bot), "token", saxoAccount, "--if-version", strconv.FormatUint(held.Version, 10))
	if newer = strings.TrimSpace(newer); err != nil || newer == held.AccessToken || newer == "" {
		t.Errorf("a newer token: %v", err)
	}
	if got := waittest.Receive(t, "what its program goes on with", tokens); got != newer {
		t.Error("exec --on-new restart goes on with another token")
	}
	if other, err := is(usertest.Stranger+4, strconv.Itoa(traders), "token", saxoAccount, "--if-version", strconv.FormatUint(held.Version, 10)); err != nil || strings.TrimSpace(other) != newer {
		t.Errorf("another reader: %v", err)
	}
	mustHavePosted(t, saxo, saxoAccount, 1)
	if out, err := is(usertest.Stranger, "7", "token", saxoAccount); err == nil || !strings.Contains(inOneLine(out), fmt.Sprintf("{user: %d, accounts: [%s]}", usertest.Stranger, saxoAccount)) {
		t.Errorf("a stranger: %v\n%s", err, out)
	}
	if log := r.Stderr(); !strings.Contains(log, "gets a token over the control API") || strings.Contains(log, held.AccessToken) {
		t.Errorf("the log:\n%s", log)
	}
	r.Stop()
}
