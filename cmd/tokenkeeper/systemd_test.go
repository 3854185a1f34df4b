package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// slowAnswer is how long the broker takes, while the service comes to an end.
const slowAnswer = 8 * time.Second

// TestSystemd runs the shipped unit under a real systemd, and ends it in every
// way while an answer is on its way that takes 8 s: nothing is lost, nobody is
// left behind, and the next start goes on without a login.
func TestSystemd(t *testing.T) {
	m := bootMachine(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	// As the unit shows it: a user that is made up, who may read the secret where
	// systemd has put it, and nowhere else.
	secret := saxo.Config().ClientSecret
	credential := strings.Replace(accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"),
		"client_secret: "+secret, "client_secret: ${file:${env:CREDENTIALS_DIRECTORY}/app_secret}", 1)
	m.install(t, secret, "accounts:\n"+credential+`
  greedy: {provider: glutton, client_id: id}
`+accountYAML(sharedAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+`    shared_file: {path: "${env:STATE_DIRECTORY}/`+sharedName+`", format: saxo-cache}
providers:
  glutton: {command: [/usr/local/bin/glutton]}
sinks:
  files: {type: file, path: "${env:STATE_DIRECTORY}/{account}.json", accounts: [`+saxoAccount+`], include_refresh_token: true}
  bots: {type: file, path: "/var/lib/bots/{account}.json", accounts: [`+saxoAccount+`], mode: "0640", owner: ":bots", trust_folder: true}
`)
	m.systemctl(t, "start", "tokenkeeper")
	s := &service{machine: m, t: t, saxo: saxo, run: m.follow(t, ownState)}
	s.logIn()
	s.served()
	s.told()

	for _, end := range []struct {
		name  string
		by    func(*service)
		then  outcome
		needs func(*service) // nil: nothing that may not be there
	}{
		{"crash", (*service).crash, comesBack, nil},
		{"stop", (*service).stop, staysDown, nil},
		{"watchdog", (*service).hang, comesBack, nil},
		{"out of memory", (*service).starve, goesOnAsIs, (*service).needsLimits},
		{"signals to everybody", (*service).hangUp, goesOnAsIs, nil},
	} {
		if !t.Run(end.name, func(t *testing.T) {
			s, run := *s, *s.run
			s.t, s.run, run.t = t, &run, t
			if end.needs != nil { // before a request is open, which the next case would find
				end.needs(&s)
			}
			s.midAnswer(end.by, end.then)
		}) {
			return // what follows would only show the same
		}
	}
	t.Run("crash, while a bot waits for the lock", func(t *testing.T) {
		s, run := *s, *s.run
		s.t, s.run, run.t = t, &run, t
		s.crashBesideABot()
	})
	for _, recipe := range []struct {
		name string
		do   func(*service)
	}{
		{"a new configuration", (*service).changes},
		{"a new secret, and a pause", (*service).rotates},
		{"another name", (*service).renames},
		{"stopped, and looked at", (*service).lookedAt},
		{"a first installation", (*service).installed},
		{"in place of a Schwab service", (*service).sendsSchwab},
		{"in place of a Saxo service", (*service).keepsSaxo},
	} {
		t.Run(recipe.name, func(t *testing.T) {
			s, run := *s, *s.run
			s.t, s.run, run.t = t, &run, t
			recipe.do(&s)
		})
	}
	m.systemctl(t, "stop", "tokenkeeper")
	s.mustBeGone()
}

// The account whose token file a bot shares.
const (
	sharedAccount = "saxo-shared"
	sharedName    = "shared.json"
)

// crashBesideABot is a crash in mid-answer, after which systemd starts the
// service again when the provider has ended: the bot gets the lock when the new
// token is in the file, and not before.
func (s *service) crashBesideABot() {
	s.t.Helper()
	g := s.saxo.Grant(sharedAccount)
	if _, err := s.run.Client.Import(s.t.Context(), control.ImportRequest{Account: sharedAccount, Body: tokenFileOf(s.t, g, format.JSON, g.IssuedAt)}); err != nil {
		s.t.Fatal(err)
	}
	s.run.refreshed(sharedAccount)
	bots := sharing{saxo: s.saxo, file: s.stateFile(sharedName)}
	if !bots.holdsLiving(s.t) {
		s.t.Error("the file does not hold the token")
	}
	seen := filepath.Join(s.t.TempDir(), "seen")
	gate := s.saxo.HoldNextAnswer(sharedAccount)
	s.run.forceRefresh(sharedAccount)
	came(s.t, gate.Entered, "the request is open")
	got := bots.bot(s.t, seen)
	if kept := s.property("NFileDescriptorStore"); kept != "1" {
		s.t.Errorf("in mid-request systemd keeps %s descriptors, want 1", kept)
	}
	s.crash()
	if bots.lockIsFree() {
		s.t.Error("the lock is free although the request is open")
	}
	gate.Release()
	came(s.t, got, "the bot gets the lock")
	bots.mustHaveSeenLiving(s.t, seen)
	s.await(func() bool { return s.property("NFileDescriptorStore") == "0" }, "systemd keeps no lock any more")
	if !bots.lockIsFree() {
		s.t.Error("the lock is not free")
	}

	// A stop for good, cut off: nobody is locked out.
	gate = s.saxo.HoldNextAnswer(sharedAccount)
	s.run.until(func(st control.Status) bool { return account(st, sharedAccount).State == control.AccountValid })
	s.run.forceRefresh(sharedAccount)
	came(s.t, gate.Entered, "the request is open")
	s.systemctl(s.t, "kill", "-s", "KILL", "tokenkeeper")
	s.systemctl(s.t, "stop", "tokenkeeper")
	gate.Drop()
	// Told to stop before it has seen the kill, systemd calls that a failure.
	s.await(func() bool {
		if s.property("ActiveState") == "failed" {
			s.systemctl(s.t, "reset-failed", "tokenkeeper")
		}
		return s.property("ActiveState") == "inactive"
	}, "the service has ended")
	s.mustBeGone()
	s.await(bots.lockIsFree, "the lock is free after a stop")
}

// service is the unit, and the broker of its account.
type service struct {
	*machine
	t    *testing.T
	saxo *brokersim.Server
	run  *running
}

func (s *service) logIn() {
	s.t.Helper()
	s.run.until(func(control.Status) bool { return true })
	g := s.saxo.Grant(saxoAccount)
	if _, err := s.run.Client.Import(s.t.Context(), control.ImportRequest{Account: saxoAccount, Body: tokenFileOf(s.t, g, format.SaxoCache, g.IssuedAt)}); err != nil {
		s.t.Fatal(err)
	}
	g.Account, g.RefreshToken = "greedy", "of another login"
	if _, err := s.run.Client.Import(s.t.Context(), control.ImportRequest{Account: "greedy", Body: tokenFileOf(s.t, g, format.JSON, g.IssuedAt)}); err != nil {
		s.t.Fatal(err)
	}
	s.run.delivered(saxoAccount, 1)
}

// outcome is what should become of the service.
type outcome int

const (
	goesOnAsIs outcome = iota // with the same processes
	comesBack                 // systemd starts it again
	staysDown                 // until somebody starts it
)

// midAnswer lets something happen while an answer is on its way.
func (s *service) midAnswer(disturb func(*service), then outcome) {
	s.t.Helper()
	before := s.run.until(func(st control.Status) bool {
		a := account(st, saxoAccount)
		return a.State == control.AccountValid && !a.InFlight && provider(st, "saxo").State == control.ProviderRunning
	})
	version, counts := account(before, saxoAccount).Version, s.saxo.Account(saxoAccount)
	gate := s.saxo.HoldNextAnswer(saxoAccount)
	s.run.forceRefresh(saxoAccount)
	came(s.t, gate.Entered, "the request is open")
	answered := time.After(slowAnswer)
	disturb(s)
	<-answered
	if happened(gate.Gone) {
		s.t.Error("the provider did not hear its request out")
	}
	gate.Release()
	came(s.t, gate.Done, "the request is answered")
	if then == staysDown {
		s.mustBeGone()
		if result := s.property("Result"); result != "success" {
			s.t.Errorf("the service ended with the result %s", result)
		}
		s.systemctl(s.t, "start", "tokenkeeper")
	}

	s.run.delivered(saxoAccount, version+1)
	after := s.run.until(func(st control.Status) bool {
		return account(st, saxoAccount).State == control.AccountValid && provider(st, "saxo").State == control.ProviderRunning
	})
	if c := s.saxo.Account(saxoAccount); c.Posts != counts.Posts+1 || c.Answered != counts.Answered+1 || c.Reused != 0 || c.Repeats != 0 || c.Logins != 1 {
		s.t.Errorf("the broker saw %+v, before it %+v", c, counts)
	}
	if a := account(after, saxoAccount); a.Version != version+1 || a.Failures != 0 || !a.AmbiguousSince.IsZero() {
		s.t.Errorf("the account: %+v", a)
	}
	token := decodeFile[tokenFile](s.t, s.stateFile(saxoAccount+".json"))
	if now, _ := s.saxo.Current(saxoAccount); token.Access != now.AccessToken || token.Refresh != now.RefreshToken {
		s.t.Error("the file does not hold the newest tokens")
	}
	if same := after.PID == before.PID && provider(after, "saxo").PID == provider(before, "saxo").PID; same != (then == goesOnAsIs) {
		s.t.Errorf("the processes are the same ones: %t, want %t", same, then == goesOnAsIs)
	}
	s.mustHoldOnlyItsOwn()
}

// mustHoldOnlyItsOwn fails the test if the service goes on having other
// processes than the supervisor and its providers. One that has just been
// started again is in its control group a moment before it is in the status.
func (s *service) mustHoldOnlyItsOwn() {
	s.t.Helper()
	s.run.until(func(st control.Status) bool {
		known := map[int]bool{st.PID: true}
		for _, p := range st.Providers {
			known[p.PID] = true
		}
		for _, pid := range s.processes(s.t) {
			if !known[pid] {
				s.t.Logf("process %d is nobody that the status names: %s", pid, s.commandOf(pid))
				return false
			}
		}
		return true
	})
}

// mustBeGone waits until the service has ended, and fails the test if anybody is
// left.
func (s *service) mustBeGone() {
	s.t.Helper()
	s.await(func() bool { return s.property("ActiveState") == "inactive" }, "the service has stopped")
	if left := s.processes(s.t); len(left) > 0 {
		s.t.Errorf("processes %v were left behind", left)
	}
}

func (s *service) await(holds func() bool, what string) {
	s.t.Helper()
	waittest.Within(s.t, 2*waittest.Patience, what, holds)
}

func (s *service) property(name string) string {
	return strings.TrimSpace(s.systemctl(s.t, "show", "-p", name, "--value", "tokenkeeper"))
}

func (s *service) mainPID() int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.property("MainPID"))
	if err != nil || pid == 0 {
		s.t.Fatalf("the service has no main process: %v", err)
	}
	return pid
}

// kill sends signals to a process inside: the shell's own kill, since a small
// system has no other.
func (s *service) kill(pid int, signals ...string) {
	s.t.Helper()
	for _, sig := range signals {
		s.inside(s.t, "sh", "-c", fmt.Sprintf("kill -s %s %d", sig, pid))
	}
}

// Each of the following is a way in which a service manager, or the kernel, ends
// what it runs, or seems to.

func (s *service) crash() {
	main := s.mainPID()
	s.kill(main, "KILL")
	s.await(func() bool { return s.property("MainPID") != strconv.Itoa(main) }, "systemd sees the crash")
}

func (s *service) stop() {
	s.systemctl(s.t, "stop", "--no-block", "tokenkeeper")
	s.await(func() bool {
		return strings.Contains(s.property("StatusText"), "waits for the broker's answer about "+saxoAccount)
	}, "systemd shows what the stop waits for")
}

func (s *service) hang() {
	main := s.mainPID()
	s.kill(main, "STOP")
	s.await(func() bool { return s.property("MainPID") != strconv.Itoa(main) }, "the watchdog ends the main process")
	s.await(func() bool { // which the next start has put aside, or will
		before, _ := os.ReadFile(s.stateFile("stacks.before"))
		now, _ := os.ReadFile(s.stateFile("stacks"))
		return strings.Contains(string(before)+string(now), "SIGABRT")
	}, "the stacks are in a file")
}

// hangUp is a reload, or a log that was rotated; the other signals reach the
// built-in providers alone, since they would end the supervisor, and the glutton has no
// more to say.
func (s *service) hangUp() {
	s.systemctl(s.t, "kill", "-s", "HUP", "tokenkeeper")
	main := s.mainPID()
	for _, pid := range s.processes(s.t) {
		if pid != main && strings.Contains(s.commandOf(pid), "provider saxo") {
			s.kill(pid, "TERM", "ABRT", "INT")
		}
	}
}

// needsLimits skips where the service's memory has none.
func (s *service) needsLimits() {
	if !s.limitsMemory(s.t) {
		s.t.Skip("systemd can't limit a service's memory here: there is no controller")
	}
}

// starve lets another provider eat what memory the service may have, once: after that it is
// paused, because the kernel may kill whoever asks for memory while the eater still dies.
func (s *service) starve() {
	s.run.forceRefresh("greedy")
	st := s.run.until(func(st control.Status) bool { return provider(st, "glutton").Crashes > 0 })
	if last := provider(st, "glutton").LastError; !strings.Contains(last, "SIGKILL") {
		s.t.Errorf("the glutton ended with %q, want the kernel's kill", last)
	}
	s.shows(exitOK, "pause greedy", "greedy: paused")
}
