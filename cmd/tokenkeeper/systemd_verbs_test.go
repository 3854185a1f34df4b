package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
)

// This file types in the machine, as root, what changes the service's accounts, and what
// looks at it.

const (
	usualConfig    = "etc/tokenkeeper/tokenkeeper.yaml"
	renamedAccount = "saxo-renamed"
)

// shows types a command of ours, as root, that must end with an exit code, and fails the
// test unless it says what is wanted.
func (s *service) shows(code int, verb string, wanted ...string) string {
	s.t.Helper()
	said, err := s.try(append([]string{"tokenkeeper"}, strings.Fields(verb)...)...)
	got := exitOK
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != code {
		s.t.Errorf("%s: exit code %d, want %d\n%s", verb, got, code, said)
	}
	for _, want := range wanted {
		if !strings.Contains(inOneLine(said), want) {
			s.t.Errorf("%s: %q is not in\n%s", verb, want, said)
		}
	}
	return said
}

// rotates: the broker replaces the client's secret. One that systemd has given the service
// takes a restart, over which a pause stays, and a reload names it; one in a file takes a
// reload, and nothing is sent twice.
func (s *service) rotates() {
	const given, file, second, third = "etc/tokenkeeper/secrets/app_secret", "etc/tokenkeeper/secrets/rotating", "the-second-secret", "the-third-secret"
	const reference = "${file:${env:CREDENTIALS_DIRECTORY}/app_secret}"
	counts := s.saxo.Account(saxoAccount)
	s.saxo.TakeSecrets(second)
	s.place(s.t, given, second+"\n")
	s.systemctl(s.t, "reload", "tokenkeeper")
	s.journal("info", reference)
	s.shows(exitOK, "pause "+saxoAccount+" --reason rotation", "saxo-sim: paused: nothing is asked of its broker before tokenkeeper resume saxo-sim")
	s.systemctl(s.t, "restart", "tokenkeeper")
	st := s.run.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	if a := account(st, saxoAccount); a.State != control.AccountPaused || a.Pause == nil || a.Pause.Reason != "rotation" {
		s.t.Errorf("after the restart it is %s: %+v", a.State, a.Pause)
	}
	s.shows(exitFailure, "refresh "+saxoAccount, "account saxo-sim is paused since", "(rotation)", "tokenkeeper resume saxo-sim")
	s.shows(exitOK, "explain "+saxoAccount, "account saxo-sim had a valid token", "paused since", "by user 0 (rotation)", "Let it go on: tokenkeeper resume saxo-sim")
	s.shows(exitOK, "resume "+saxoAccount, "saxo-sim: resumed; the next refresh is")
	s.run.refreshed(saxoAccount)
	s.shows(exitOK, "explain "+saxoAccount, "account saxo-sim had a valid token", "Nothing has to be done")

	main := s.mainPID()
	s.place(s.t, file, second+"\n")
	s.inside(s.t, "sh", "-ec", "chown root:bots /"+file+"; chmod 640 /"+file)
	s.place(s.t, usualConfig, strings.Replace(readText(s.t, s.root+"/"+usualConfig), reference, "${file:/"+file+"}", 1))
	s.systemctl(s.t, "reload", "tokenkeeper")
	s.saxo.TakeSecrets(third)
	s.place(s.t, file, third+"\n")
	s.systemctl(s.t, "reload", "tokenkeeper")
	s.journal("info", "client_secret")
	s.run.refreshed(saxoAccount)
	if c := s.saxo.Account(saxoAccount); c.Posts != counts.Posts+2 || c.Answered != counts.Answered+2 || c.Refused != counts.Refused || c.Reused != 0 || c.Repeats != 0 {
		s.t.Errorf("the broker saw %+v, before it %+v", c, counts)
	}
	if s.mainPID() != main {
		s.t.Error("the service was restarted for a secret in a file")
	}
}

// renames: an account goes on with its login under another name, and of one that is in no
// configuration nothing is left.
func (s *service) renames() {
	before, rest, _ := strings.Cut(readText(s.t, s.root+"/"+usualConfig), "  "+sharedAccount+":")
	_, after, _ := strings.Cut(rest, "\nproviders:")
	s.place(s.t, usualConfig, strings.ReplaceAll(before+"providers:"+after, saxoAccount, renamedAccount))
	s.systemctl(s.t, "reload", "tokenkeeper")
	version := versionOf(s.run, renamedAccount)
	listed := func() map[string]control.ListedAccount {
		all := map[string]control.ListedAccount{}
		for _, a := range decode[control.AccountList](s.t, s.inside(s.t, "tokenkeeper", "accounts", "list", "--json")).Accounts {
			all[a.Name] = a
		}
		return all
	}
	was := listed()
	if old := was[saxoAccount]; version != 0 || old.Configured || old.Version == 0 || !was[renamedAccount].Configured || was[sharedAccount].Configured || was[sharedAccount].Version == 0 {
		s.t.Errorf("version %d under the new name; the accounts: %+v", version, was)
	}
	s.shows(exitOK, "accounts rename "+saxoAccount+" "+renamedAccount, "account saxo-renamed goes on with the login of saxo-sim, at version ")
	s.shows(exitOK, "accounts forget "+sharedAccount+" --yes", "what was stored of account saxo-shared is removed")
	if now := listed(); len(now) != len(was)-2 || now[renamedAccount].Version != was[saxoAccount].Version {
		s.t.Errorf("the accounts: %+v", now)
	}
	s.run.refreshed(renamedAccount)
	s.run.delivered(renamedAccount, was[saxoAccount].Version+1)
	now, _ := s.saxo.Current(saxoAccount)
	if out, err := s.as("bob", "cat", "/var/lib/bots/"+renamedAccount+".json"); err != nil || !strings.Contains(out, now.AccessToken) {
		s.t.Errorf("bob reads %d bytes, and not the token: %v", len(out), err)
	}
}

// lookedAt: while the service is stopped its past is told, and who observes in its place, as
// the service or as root, leaves nothing that keeps the service from its next start.
func (s *service) lookedAt() {
	const state = "/var/lib/private/tokenkeeper"
	s.systemctl(s.t, "stop", "tokenkeeper")
	at := time.Now().Format(time.RFC3339Nano)
	s.shows(exitOK, "explain "+renamedAccount, "account saxo-renamed had a valid token", "No supervisor has been running since", "it was stopped.", "Start it: tokenkeeper run, or its service")
	s.shows(exitOK, "events --since 1h --no-follow --json", `"type":"run_ended"`, `"type":"paused"`, `"type":"resumed"`, `"type":"refreshed"`, `"account":"`+renamedAccount+`"`)
	s.shows(exitOK, "logs", saxoAccount, renamedAccount)
	s.examined("supervisor: no supervisor runs with /var/lib/tokenkeeper", "service: tokenkeeper.service is disabled")

	s.place(s.t, usualConfig, readText(s.t, s.root+"/"+usualConfig)+"log: {file: \"${env:STATE_DIRECTORY}/log\"}\n")
	observing := func(st control.Status) bool { return st.Observing && account(st, renamedAccount).Would == "refresh" }
	const observe = "/usr/local/bin/tokenkeeper run --observe -c /" + usualConfig
	const dropIn = "etc/systemd/system/tokenkeeper.service.d/observe.conf"
	s.inside(s.t, append([]string{"systemd-run", "--quiet", "--unit=observer", "--setenv=STATE_DIRECTORY=/var/lib/tokenkeeper"}, strings.Fields(observe)...)...)
	s.run.until(observing)
	s.shows(exitOK, "status", "observing: nothing is sent to a broker, delivered or written")
	s.systemctl(s.t, "kill", "-s", "KILL", "observer")
	s.await(func() bool { return s.stateOf("observer") == "failed" }, "root's observer is dead")
	s.systemctl(s.t, "reset-failed", "observer")
	if left := s.inside(s.t, "find", state, "-uid", "0"); left != "" {
		s.t.Errorf("root's observer has left in the service's state directory\n%s", left)
	}
	s.place(s.t, dropIn, "[Service]\nExecStart=\nExecStart="+observe+"\n")
	s.systemctl(s.t, "daemon-reload")
	s.systemctl(s.t, "start", "tokenkeeper")
	s.run.until(observing)
	s.systemctl(s.t, "stop", "tokenkeeper")
	s.inside(s.t, "rm", "/"+dropIn)
	s.systemctl(s.t, "daemon-reload")

	posts := s.saxo.Account(saxoAccount).Posts
	s.systemctl(s.t, "start", "tokenkeeper")
	s.run.until(func(st control.Status) bool {
		return !st.Observing && account(st, renamedAccount).State == control.AccountValid
	})
	s.shows(exitOK, "explain "+renamedAccount+" --at "+at, "No supervisor was running from", "it was stopped.", "Nothing has to be done")
	if now := s.saxo.Account(saxoAccount).Posts; now != posts {
		s.t.Errorf("%d requests at the start", now-posts)
	}
}

// examined: root finds nothing by doctor beside the service but what is wanted.
func (s *service) examined(wanted ...string) {
	s.t.Helper()
	out := s.inside(s.t, "sh", "-c", "tokenkeeper doctor --json || test $? -le 2")
	d, found := decode[doctor.Diagnosis](s.t, out), 0
	for _, f := range d.Findings {
		switch {
		case slices.ContainsFunc(wanted, func(want string) bool { return strings.HasPrefix(f.Line(), want) }):
			found++
		case f.About != "clock" && f.About != "kernel": // those of the machine that tests it
			s.t.Errorf("doctor finds: %s", f.Line())
		}
	}
	if found != len(wanted) || len(d.Examined) != 7 {
		s.t.Errorf("doctor finds %d of %q; not examined: %q", found, wanted, d.Unexamined)
	}
}
