package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestServiceOfAUserOfItsOwn: a service that is neither root nor the bots' user, with
// the folders that the shipped unit makes and a bots' folder set up as it says,
// refreshes and delivers, and the bots read it.
func TestServiceOfAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	usertest.NeedsRoot(t)
	const service, bots = usertest.Stranger + 1, 1
	if group, err := user.LookupGroupId("1"); err != nil || group.Name != "daemon" {
		t.Skip("this machine has no group for the bots")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("there is no setpriv")
	}
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	secret := saxo.Config().ClientSecret
	account := strings.Replace(accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"), "client_secret: "+secret, "client_secret: ${file:${env:CREDENTIALS_DIRECTORY}/app_secret}", 1)
	write(t, s.config, "accounts:\n"+account+fmt.Sprintf("sinks:\n  files: {type: file, path: %q, mode: \"0640\", owner: \":daemon\"}\n", s.path("bots/{account}.json")))
	as := s.path("as")
	write(t, as, fmt.Sprintf("#!/bin/sh\nexec %s --reuid %d --regid %[2]d --groups %d --no-new-privs %s \"$@\"\n", setpriv, service, bots, s.program))
	s.program, s.env = as, append(s.env, "STATE_DIRECTORY="+s.path("state"), "RUNTIME_DIRECTORY="+s.path("run"), "CREDENTIALS_DIRECTORY="+s.path("credentials"))
	for dir, mode := range map[string]os.FileMode{"state": 0o700, "run": 0o700, "credentials": 0o500} { // systemd.exec(5)
		if err := errors.Join(os.Mkdir(s.path(dir), mode), os.Chown(s.path(dir), service, service)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s.path("credentials/app_secret"), secret)
	for _, err := range []error{
		os.Chown(s.path("credentials/app_secret"), service, service), os.Chmod(as, 0o755), os.Chmod(s.config, 0o644), os.Chmod(s.dir, 0o755),
		os.Mkdir(s.path("bots"), 0o700), os.Chown(s.path("bots"), 0, bots), os.Chmod(s.path("bots"), 0o770|os.ModeSetgid),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked := s.tool(t, "", "check"); checked.code != exitOK || aboutTrust.MatchString(checked.stdout+checked.stderr) {
		t.Errorf("check: %+v", checked)
	}
	s.checkFindsWhatIsClosed(t, bots)
	r := startRun(t, s)
	r.until(func(control.Status) bool { return true })
	g := saxo.Grant(saxoAccount)
	if _, err := r.Client.Import(t.Context(), control.ImportRequest{Account: saxoAccount, Body: tokenFileOf(t, g, format.SaxoCache, g.IssuedAt)}); err != nil {
		t.Fatal(err)
	}
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 2)
	now, _ := saxo.Current(saxoAccount)
	file := s.path("bots/" + saxoAccount + ".json")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != service || st.Gid != bots || info.Mode().Perm() != 0o640 {
		t.Errorf("the bots' file is of user %d and group %d, mode %s", st.Uid, st.Gid, info.Mode())
	}
	read, err := exec.Command(setpriv, "--reuid", "1", "--regid", "1", "--clear-groups", "cat", file).Output()
	if err != nil || !strings.Contains(string(read), now.AccessToken) {
		t.Errorf("the bots read %d bytes: %v", len(read), err)
	}
	if left, err := filepath.Glob(s.path("run/*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	root := s.asRoot(t)
	for _, f := range decode[doctor.Diagnosis](t, root.tool(t, "", "doctor", "--json").stdout).Findings {
		if f.About != "clock" && f.About != "kernel" { // those of the machine that tests it
			t.Errorf("root finds beside the service that runs: %s", f.Line())
		}
	}
	r.Stop()
	if found := decode[doctor.Diagnosis](t, root.tool(t, "", "doctor", "--json").stdout).Findings; len(found) == 0 || !strings.HasPrefix(found[0].Message, "no supervisor runs with "+s.path("state")) {
		t.Errorf("root finds beside the service that was stopped: %+v", found)
	}
	s.isObservedBy(t, root)
}

// asRoot is the service as root asks for it, who has its secret too.
func (s *site) asRoot(t *testing.T) *site {
	t.Helper()
	if err := os.Mkdir(s.path("root"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.path("root/app_secret"), readText(t, s.path("credentials/app_secret")))
	return &site{program: buildProgram(t), dir: s.dir, config: s.config, env: append(slices.Clone(s.env), "CREDENTIALS_DIRECTORY="+s.path("root"))}
}

// isObservedBy: root observes in the place of the service, and is killed. Nothing that he
// has left there keeps the service from its next start.
func (s *site) isObservedBy(t *testing.T, root *site) {
	t.Helper()
	write(t, s.config, readText(t, s.config)+fmt.Sprintf("log: {file: %q}\n", s.path("state/log")))
	r := startRun(t, root, "--observe")
	r.until(func(st control.Status) bool { return st.Observing && account(st, saxoAccount).Version == 2 })
	if said := inOneLine(r.Stderr()); !strings.Contains(said, "the log goes to standard error alone: "+s.path("state/log")+" is for the user to whom "+s.path("state")+" belongs") {
		t.Errorf("of the log it says:\n%s", said)
	}
	r.Kill()
	s.awaitGone(t)
	r = startRun(t, s)
	r.delivered(saxoAccount, 2)
	r.Stop()
}

// checkFindsWhatIsClosed: with the rights of the service's user, a folder and a shared
// file that are closed to that one are problems.
func (s *site) checkFindsWhatIsClosed(t *testing.T, bots int) {
	t.Helper()
	before := readText(t, s.config)
	defer write(t, s.config, before)
	shared := s.path("bots/shared.json")
	if err := errors.Join(os.Mkdir(s.path("closed"), 0o755), os.WriteFile(shared, []byte(`{"access_token": "a", "refresh_token": "r"}`), 0o600), os.Chown(shared, 0, bots)); err != nil {
		t.Fatal(err)
	}
	write(t, s.config, strings.Replace(before, "accounts:\n", fmt.Sprintf("accounts:\n  shares: {provider: saxo, client_id: id, client_secret: secret, redirect_url: \"http://localhost\", shared_file: {path: %q, format: saxo-cache}}\n", shared), 1)+
		fmt.Sprintf("  closed: {type: file, path: %q}\n  feed: {type: unixsocket, direction: listen, path: %q}\n", s.path("closed/{account}.json"), s.path("closed/s")))
	got := s.tool(t, "", "check")
	for _, want := range []string{"problem: " + s.config, ": accounts.shares.shared_file: ", ": sinks.closed.path: ", ": sinks.feed.path: the socket ", " 3 problems"} {
		if got.code != exitUsage || !strings.Contains(inOneLine(got.stdout), want) {
			t.Errorf("exit code %d, %q is not in:\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if err := os.Remove(shared); err != nil {
		t.Fatal(err)
	}
}
