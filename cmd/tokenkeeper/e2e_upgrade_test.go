package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// installVersion moves the program over what is at path, as a build of that version. A
// release's is noted by the Go tool where this one's is noted as "(devel)", which is as
// long.
func installVersion(t *testing.T, program, path, version string) {
	t.Helper()
	was, is := []byte(modulePath+"\t(devel)"), []byte(modulePath+"\t"+version)
	body := readFile(t, program)
	if !bytes.Contains(body, was) || len(is) != len(was) {
		t.Fatalf("%s can't be made version %s", program, version)
	}
	if err := errors.Join(filestest.WriteProgram(path+".new", bytes.ReplaceAll(body, was, is), 0o700), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// versionsIn are the versions of each account that a consumer was sent, in their order.
func versionsIn(t *testing.T, messages []string) map[string][]uint64 {
	t.Helper()
	all := map[string][]uint64{}
	for _, m := range messages {
		var x told
		if err := json.Unmarshal([]byte(m), &x); err != nil {
			t.Fatalf("something else than JSON: %v", err)
		}
		if x.Account == "" {
			x.Account, x.Version = x.Data.Account, x.Data.Version
		}
		all[x.Account] = append(all[x.Account], x.Version)
	}
	return all
}

// runsFrom says whether a process runs the program that is at path, by whatever name.
func runsFrom(t *testing.T, pid int, path string) bool {
	t.Helper()
	return os.SameFile(fileOf(t, fmt.Sprintf("/proc/%d/exe", pid)), fileOf(t, path))
}

// A new version is moved over the one that runs, and the service is restarted while an
// answer is on its way. Until then the old one is named, and no process of the new one
// begins; from then on the new one runs, which asks for no token that is not due. Each
// consumer is sent each version once.
func TestUpgradeInPlace(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const first, second = "v1.98.0", "v1.99.0"
	schwab, saxo := startBrokers(t, time.Hour)
	receiver := newHook(t)
	s := newSite(t, "")
	bot := newConsumer(t, s.path("bot.sock"), "OK")
	s.configure(t, bothYAML(schwab, saxo, "before_expiry: 5m")+fmt.Sprintf("  hook: {type: webhook, url: %q}\n", receiver.url)+
		"  bot: {type: unixsocket, path: bot.sock, format: json}\n")
	built := s.program
	s.program = s.path("tokenkeeper")
	installVersion(t, built, s.program, first)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	s.env = append(s.env, "WATCHDOG_USEC=1000000") // it looks twice a second
	serves := func(version string) func(control.Status) bool {
		return func(st control.Status) bool {
			return st.Version == version && provider(st, "schwab").State == control.ProviderRunning && provider(st, "saxo").State == control.ProviderRunning
		}
	}
	old := startRun(t, s)
	old.until(serves(first))
	for _, name := range []string{schwabAccount, saxoAccount} {
		old.delivered(name, 1)
		old.refreshed(name)
		old.delivered(name, 2)
	}

	installVersion(t, built, s.program, second)
	if got := s.tool(t, "", "version"); !strings.HasPrefix(got.stdout, "tokenkeeper "+second+" ") {
		t.Errorf("what is installed now says: %+v", got)
	}
	said := inOneLine(s.tool(t, "", "status").stdout)
	for _, want := range []string{
		fmt.Sprintf("%s is another program than the one that the supervisor (PID %d) was started with", s.program, old.PID), "that one (" + first + ") goes on",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("status does not say %q:\n%s", want, said)
		}
	}
	old.until(func(control.Status) bool { return strings.Contains(old.Stderr(), s.program+" is another program now") })
	if got := s.tool(t, "", "restart", "schwab"); got.code != exitOK {
		t.Errorf("restart of a provider: %+v", got)
	}
	st := old.until(serves(first))
	if pid := provider(st, "schwab").PID; runsFrom(t, pid, s.program) || !runsFrom(t, pid, fmt.Sprintf("/proc/%d/exe", old.PID)) {
		t.Error("a provider of the new version runs under the old one")
	}

	gate := saxo.HoldNextAnswer(saxoAccount)
	old.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is open")
	began := time.Now()
	if err := old.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the stop waits for the answer", func() bool {
		return strings.Contains(old.Stderr(), "the stop waits for the broker's answer about "+saxoAccount)
	}, old.steps)
	if got := s.tool(t, "", "status"); got.code != exitFailure || !strings.Contains(inOneLine(got.stderr), fmt.Sprintf("a supervisor (PID %d) is stopping", old.PID)) {
		t.Errorf("status meanwhile: %+v", got)
	}
	gate.Release()
	if err := old.Wait(); err != nil {
		t.Fatalf("after SIGTERM: %v", err)
	}
	next := startRun(t, s)
	st = next.until(serves(second))
	t.Logf("%s from the stop to the new version's service, with a wait for an answer in it", time.Since(began))
	for _, pid := range []int{next.PID, provider(st, "schwab").PID, provider(st, "saxo").PID} {
		if !runsFrom(t, pid, s.program) {
			t.Errorf("process %d does not run the new version", pid)
		}
	}
	if got := s.tool(t, "", "status"); strings.Contains(got.stdout, "another program") {
		t.Errorf("status: %+v", got)
	}
	next.delivered(schwabAccount, 2)
	next.delivered(saxoAccount, 3)
	mustHavePosted(t, schwab, schwabAccount, 1)
	mustHavePosted(t, saxo, saxoAccount, 2)

	// What was delivered twice came before the next one.
	next.refreshed(schwabAccount)
	next.refreshed(saxoAccount)
	next.delivered(schwabAccount, 3)
	next.delivered(saxoAccount, 4)
	mustHavePosted(t, schwab, schwabAccount, 2)
	mustHavePosted(t, saxo, saxoAccount, 3)
	var messages []string
	for _, m := range bot.received() {
		messages = append(messages, string(m))
	}
	want := map[string][]uint64{schwabAccount: {1, 2, 3}, saxoAccount: {1, 2, 3, 4}}
	for sink, got := range map[string]map[string][]uint64{"the bot": versionsIn(t, messages), "the receiver": versionsIn(t, receiver.received())} {
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s was sent %v, want %v", sink, got, want)
		}
	}
	s.mustHold(t, schwab, schwabAccount)
	s.mustHold(t, saxo, saxoAccount)
	for name, c := range map[string]int{schwabAccount: schwab.Account(schwabAccount).Logins, saxoAccount: saxo.Account(saxoAccount).Logins} {
		if c != 1 {
			t.Errorf("%s was logged in %d times", name, c)
		}
	}
	if reused := append(schwab.Reused(), saxo.Reused()...); len(reused) > 0 {
		t.Errorf("used twice: %v", reused)
	}
	next.Stop()
	s.mustBeGone(t)
}
