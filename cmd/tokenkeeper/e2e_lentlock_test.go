package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// neighbour is an account whose token file has the same lock.
const neighbour = "neighbour"

// sharing is an account whose token file a bot shares.
type sharing struct {
	*site
	saxo *brokersim.Server
	file string
}

func newSharing(t *testing.T) sharing {
	t.Helper()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := sharing{site: newSite(t, ""), saxo: saxo}
	s.file = s.path("tokens.json")
	yaml := "accounts:\n"
	for name, file := range map[string]string{saxoAccount: s.file, neighbour: s.path("neighbour.json")} {
		yaml += accountYAML(name, saxo, saxo.TokenURL(), "before_expiry: 5m") +
			fmt.Sprintf("    shared_file: {path: %q, lock: %q, format: saxo-cache}\n", file, s.lock())
		g := saxo.Grant(name)
		if err := os.WriteFile(file, tokenFileOf(t, g, format.SaxoCache, g.IssuedAt), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.configure(t, yaml)
	return s
}

// lock is where the bots lock.
func (s sharing) lock() string { return s.file + ".lock" }

// holdsLiving says whether the file holds the refresh token that the broker takes.
func (s sharing) holdsLiving(t *testing.T) bool {
	t.Helper()
	return s.saxo.RefreshValid(decodeFile[tokenFile](t, s.file).Refresh)
}

// bot waits for the lock, as bots do, and notes in seen what the file holds when
// it gets it.
func (s sharing) bot(t *testing.T, seen string) (got <-chan struct{}) {
	t.Helper()
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("the program flock of util-linux is not installed")
	}
	bot := exec.Command(flock, s.lock(), "cp", s.file, seen)
	if err := bot.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = bot.Wait() }()
	t.Cleanup(func() { _ = bot.Process.Kill(); <-done })
	return done
}

// lockIsFree waits for the lock a moment.
func (s sharing) lockIsFree() bool {
	return exec.Command("flock", "-w", "0.3", s.lock(), "true").Run() == nil
}

// mustHaveSeenLiving fails the test unless the file held the refresh token that
// the broker takes when the bot got the lock.
func (s sharing) mustHaveSeenLiving(t *testing.T, seen string) {
	t.Helper()
	if !s.saxo.RefreshValid(decodeFile[tokenFile](t, seen).Refresh) {
		t.Error("the bot got the lock while the file held a refresh token that was used")
	}
}

// A bot waits for the lock while the supervisor is killed in mid-request, and
// gets it when the next one has written the answer into the file, however long
// after the answer that one comes.
func TestLockOutlivesAKilledSupervisor(t *testing.T) {
	t.Parallel()
	for name, comesFirst := range map[string]bool{"the answer comes first": false, "the next supervisor comes first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSharing(t)
			r := startRun(t, s.site)
			r.refreshed(saxoAccount) // is content with the token in the file, if it has just taken it
			before := s.saxo.Account(saxoAccount)
			busy := r.providerProcess("saxo")
			gate := s.saxo.HoldNextAnswer(saxoAccount)
			r.forceRefresh(saxoAccount)
			came(t, gate.Entered, "the request is processed")
			got := s.bot(t, s.path("seen"))

			r.Kill()
			if s.lockIsFree() || happened(got) {
				t.Error("the lock is free although the request is open")
			}
			by := lockholder.Find(s.lock())
			if len(by.Holding) != 1 || by.First().PID != busy.pid || !strings.Contains(by.String(), "provider-saxo") {
				t.Errorf("the lock is held by %s, want the provider, %d", by, busy.pid)
			}
			var again *running
			if comesFirst {
				again = startRun(t, s.site)
				again.until(func(control.Status) bool { return true })
				gate.Release()
			} else {
				gate.Release()
				s.awaitSpooled(t, "saxo", saxoAccount)
				if s.lockIsFree() || happened(got) {
					t.Error("the lock is free although nobody has written the answer into the file")
				}
				again = startRun(t, s.site)
			}
			came(t, got, "the bot gets the lock")
			s.mustHaveSeenLiving(t, s.path("seen"))
			again.refreshed(neighbour)
			busy.mustEndSoon()
			if c := s.saxo.Account(saxoAccount); c.Posts != before.Posts+1 || c.Answered != before.Answered+1 {
				t.Errorf("the broker saw %+v, before that %+v", c, before)
			}
			again.Stop()
		})
	}
}

// While the supervisor lives, the lock is its own to give back: a provider that
// hangs in a call keeps nobody from it, and many attempts leave nothing behind.
func TestLentLocksLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSharing(t)
	r := startRun(t, s.site)
	r.refreshed(saxoAccount)
	p := r.providerProcess("saxo")
	count := func() int {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		locks := 0
		for _, fd := range open {
			if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.pid, fd.Name())); to == s.lock() {
				locks++
			}
		}
		return locks
	}
	gate := s.saxo.HoldNextAnswer(saxoAccount)
	r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is processed")
	if n := count(); n != 1 {
		t.Errorf("in mid-request the provider has the lock %d times", n)
	}
	gate.Release()
	r.until(func(st control.Status) bool { return !account(st, saxoAccount).InFlight })
	for range 20 {
		r.refreshed(saxoAccount)
	}
	r.until(func(st control.Status) bool { return !account(st, saxoAccount).InFlight })
	waittest.Until(t, "the provider has given all locks back", func() bool { return count() == 0 })
	// The supervisor takes it for a moment to look at what it has just written.
	waittest.Until(t, "afterwards nobody has the lock", func() bool { return len(lockholder.Find(s.lock()).Holding) == 0 })
	r.Stop()
}

// The lock of an account that is not configured any more, and every lock when
// nothing can be started, goes back to the bots.
func TestStoredLockOfNobody(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"of no account": `
accounts:
  main: {provider: schwab, client_id: id, client_secret: secret, redirect_url: "https://127.0.0.1:8182"}
sinks:
  file: {type: file, path: "{account}.json"}
`, "of no configuration": "accounts: 7\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, yaml)
			m := newServiceManager(t, s.path("notify.sock"))
			lock, err := os.Create(s.path("lock"))
			if err == nil {
				err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			}
			if err != nil {
				t.Fatal(err)
			}
			stored := fmt.Sprintf("lock-gone@%d", time.Now().Unix())
			cmd := s.command(t.Context(), "", "run")
			cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", s.program}, cmd.Args[1:]...)
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.path("notify.sock"), "LISTEN_FDS=1", "LISTEN_FDNAMES="+stored)
			cmd.ExtraFiles = []*os.File{lock}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			_ = lock.Close()
			m.hears("FDSTOREREMOVE=1\nFDNAME=" + stored)
			flock(t, "-w", "10", s.path("lock"), "true")
		})
	}
}

func flock(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("flock", args...).CombinedOutput(); err != nil {
		t.Errorf("flock %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
