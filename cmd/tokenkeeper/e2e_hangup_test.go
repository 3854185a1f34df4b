package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A terminal is closed: its readers have gone, and SIGHUP comes. So it is with
// the signals that tell other services to read something again.
func TestHangUpEndsNothing(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+filesYAML+"log: {file: run.log}\n")
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	terminal, output, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.command(t.Context(), "", "run")
	cmd.Stderr = output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = output.Close()
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	r := &running{t: t, Client: control.NewClient(s.path("state/control.sock")), PID: cmd.Process.Pid, cmd: cmd, ended: make(chan struct{})}
	t.Cleanup(r.Client.Close)
	r.delivered(saxoAccount, 1)
	process := r.providerProcess("saxo")

	_ = terminal.Close()
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		r.refreshed(saxoAccount) // whose lines nobody reads
	}
	r.delivered(saxoAccount, 5)
	s.mustHold(t, saxo, saxoAccount)
	if now := r.providerProcess("saxo"); now.pid != process.pid {
		t.Errorf("the provider was replaced: process %d, then %d", process.pid, now.pid)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("at SIGTERM it ended with %v", err)
	}
	s.awaitGone(t)
	log, err := os.ReadFile(s.path("run.log"))
	if err != nil || strings.Count(string(log), "signal=") != 2 || !strings.Contains(string(log), "SIGHUP was received, and the configuration says what it said before") || !strings.Contains(string(log), "tokenkeeper ends") {
		t.Errorf("the log's file, %v:\n%s", err, log)
	}
}

// A process of an earlier start that hangs with the spool is killed when the
// deadline of the attempt that stands there is over; and then that attempt is
// ambiguous.
func TestHungPredecessorIsEnded(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m, timeout: 2s")+filesYAML)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	provider := r.providerProcess("saxo")
	gate := saxo.HoldNext(saxoAccount)
	r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is open")
	began := time.Now()
	r.Kill()
	provider.kill()
	gate.Drop()
	hung := holdSpool(t, s, sdk.EnvSpoolDir+"="+s.path("state/spool/saxo"))

	again := startRun(t, s)
	h := again.follow()
	hung.mustEnd()
	if took := time.Since(began); took < 7*time.Second {
		t.Errorf("it was killed after %s; the attempt's deadline and 5 s are 7 s", took)
	}
	h.await(0, about(event.Ambiguous, saxoAccount))
	again.delivered(saxoAccount, 2)
	s.mustHold(t, saxo, saxoAccount)
	if c := saxo.Account(saxoAccount); c.Logins != 1 || c.Reused != 0 {
		t.Errorf("the broker saw %+v", c)
	}
	if !strings.Contains(again.Stderr(), "hung with the spool, and was killed") {
		t.Error("the log does not say that it was killed")
	}
	again.Stop()
}

// holdSpool starts a process that holds the lock of Saxo's spool and does
// nothing else.
func holdSpool(t *testing.T, s *site, env ...string) *handle {
	t.Helper()
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("the program flock of util-linux is not installed")
	}
	if err := os.MkdirAll(s.path("state/spool/saxo"), 0o700); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(flock, "--no-fork", s.path("state/spool/saxo/lock"), "sh", "-c", "echo holds && exec sleep 1000")
	holder.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	process := watchProcess(t, holder.Process.Pid)
	t.Cleanup(func() { _, _ = holder.Process.Kill(), holder.Wait() })
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the lock can't be had: %q, %v", said, err)
	}
	return process
}

// Somebody who only happens to hold the lock is no process of ours.
func TestStrangerWithTheSpoolsLockIsNotKilled(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m, timeout: 1s")+filesYAML)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	stranger := holdSpool(t, s)
	r := startRun(t, s)
	r.providerProcess("saxo")
	over, cancel := waittest.Context(t.Context(), 10) // a timeout of 1 s, 5 s and 2 s
	defer cancel()
	<-over.Done()
	if stranger.ended() {
		t.Error("it was killed")
	}
}
