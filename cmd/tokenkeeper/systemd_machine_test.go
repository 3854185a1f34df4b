package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// systemdRoot names a tree with Debian and systemd in it, which a run changes.
// ".ci/run" makes one with mmdebstrap.
const systemdRoot = "TOKENKEEPER_SYSTEMD_ROOT"

// machine is a root file system whose PID 1 is systemd. Its network is ours.
type machine struct {
	root string
	pid  int // of its PID 1
}

// bootMachine starts the machine, or skips the test where that can't be.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	root := os.Getenv(systemdRoot)
	if root == "" {
		t.Skipf("%s names no root tree with systemd: .ci/run makes one", systemdRoot)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can start a machine")
	}
	script, name := "testdata/systemd/boot.sh", fmt.Sprintf("tokenkeeper-test-%d", os.Getpid())
	console := newAwaited()
	boot := exec.Command("sh", script, root, name)
	boot.Stdout, boot.Stderr = console, console
	boot.WaitDelay = time.Second
	if err := boot.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = boot.Wait() }()
	t.Cleanup(func() {
		_ = boot.Process.Kill() // which kills its PID 1, and that everybody
		<-ended
		clean := time.NewTicker(100 * time.Millisecond)
		defer clean.Stop()
		for range 50 {
			if exec.Command("sh", script, "clean", name).Run() == nil {
				break
			}
			<-clean.C
		}
		if t.Failed() {
			t.Logf("the console:\n%s", console)
		}
	})
	m := &machine{root: root}
	late, look := waittest.Late(t), time.NewTicker(100*time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ended:
			if boot.ProcessState.ExitCode() == 3 {
				t.Skipf("this machine can't run systemd in a namespace: %s", console)
			}
			t.Fatalf("the machine did not start: %s\n%s", boot.ProcessState, console)
		case <-late:
			t.Fatalf("the machine is not up; its console:\n%s", console)
		case <-look.C:
		}
		if m.pid = firstChild(boot.Process.Pid); m.pid == 0 {
			continue
		}
		if out, err := m.try("systemctl", "is-system-running"); err == nil || strings.Contains(out, "degraded") {
			return m
		}
	}
}

// firstChild returns the process's first child; 0: it has none.
func firstChild(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	first, _, _ := strings.Cut(string(b), " ")
	child, _ := strconv.Atoi(first)
	return child
}

// try runs a command inside.
func (m *machine) try(args ...string) (string, error) {
	ctx, cancel := waittest.Context(context.Background(), 2*waittest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{
		"-t", strconv.Itoa(m.pid), "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--root", "--wd",
	}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// inside runs a command inside that must succeed.
func (m *machine) inside(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		log, _ := m.try("journalctl", "--no-pager", "-n", "200", "-u", "tokenkeeper")
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, log)
	}
	return out
}

func (m *machine) systemctl(t *testing.T, args ...string) string {
	t.Helper()
	return m.inside(t, append([]string{"systemctl"}, args...)...)
}

// ownState is where a service with a user of systemd's has its state.
const ownState = "var/lib/private/tokenkeeper"

// settle gives the machine people: two bots in a group, and the users of services
// that ran before.
func (m *machine) settle(t *testing.T) {
	t.Helper()
	m.inside(t, "sh", "-ec", `
		for user in bot keeper alice bob; do id $user >/dev/null 2>&1 || useradd --create-home $user; done
		rm -rf /var/lib/bots /var/lib/tokenkeeper /var/lib/private/tokenkeeper /etc/systemd/system/tokenkeeper.service.d`)
	m.readme(t, "install -d -g bots", "/")
	m.inside(t, "usermod", "-aG", "bots", "bob")
}

// readme types the one block for a shell of the unit's README that holds a text, in a
// folder of the machine, and returns what was said. pairs are places of the
// README and of this machine, in turn.
func (m *machine) readme(t *testing.T, holds, folder string, pairs ...string) string {
	t.Helper()
	out, err := m.tryReadme(t, holds, folder, pairs...)
	if err != nil {
		log, _ := m.try("journalctl", "--no-pager", "-n", "200", "-u", "tokenkeeper")
		t.Fatalf("what the README says of %s: %v\n%s\n%s", holds, err, out, log)
	}
	return out
}

func (m *machine) tryReadme(t *testing.T, holds, folder string, pairs ...string) (string, error) {
	t.Helper()
	for _, block := range fenced(t, filepath.Join(repository, "configs", "systemd", "README.md"), "sh") {
		if strings.Contains(block, holds) {
			return m.try("sh", "-exc", "cd "+folder+"\n"+strings.NewReplacer(pairs...).Replace(block))
		}
	}
	t.Fatalf("the README has no block with %q", holds)
	return "", nil
}

// as runs a command inside as one of its people.
func (m *machine) as(user string, args ...string) (string, error) {
	return m.try(append([]string{"setpriv", "--reuid", user, "--regid", user, "--init-groups"}, args...)...)
}

// place writes a file of the machine, for everybody to read.
func (m *machine) place(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(m.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// install installs the program as the unit says, with a configuration and a secret
// that the unit hands over as its credential app_secret.
func (m *machine) install(t *testing.T, secret, yaml string) {
	t.Helper()
	t.Setenv("CGO_ENABLED", "0") // whatever C library the tree has
	for dir, binary := range map[string]string{".": "tokenkeeper", "testdata/systemd/glutton": "glutton"} {
		if err := goBuild(dir, filepath.Join(m.root, "usr/local/bin", binary)); err != nil {
			t.Fatal(err)
		}
	}
	m.settle(t)
	m.place(t, "etc/tokenkeeper/tokenkeeper.yaml", yaml)
	m.place(t, "etc/tokenkeeper/secrets/app_secret", secret+"\n")
	m.place(t, "etc/systemd/system/tokenkeeper.service", readText(t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.service")))
	m.place(t, "etc/systemd/system/tokenkeeper.service.d/test.conf", "[Service]\n"+soonEnough+
		"MemoryMax=256M\n"+ // a limit for the glutton to hit
		"LoadCredential=app_secret:/etc/tokenkeeper/secrets/app_secret\n"+
		unitsOwn(t, "SupplementaryGroups=bots")+unitsOwn(t, "ReadWritePaths=/var/lib/bots"))
	if err := os.Chmod(filepath.Join(m.root, "etc/tokenkeeper/secrets/app_secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.systemctl(t, "daemon-reload")
}

// soonEnough is in seconds what the unit has in minutes.
const soonEnough = "WatchdogSec=3\nRestartSec=1\n"

// unitsOwn is a line that the unit shows and leaves to its user.
func unitsOwn(t *testing.T, line string) string {
	t.Helper()
	if unit := readText(t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.service")); !strings.Contains(unit, "\n#"+line+"\n") {
		t.Fatalf("the unit does not show #%s", line)
	}
	return line + "\n"
}

// stateFile is a file in the service's state directory, seen from outside.
func (m *machine) stateFile(name string) string { return filepath.Join(m.root, ownState, name) }

// follow returns the service as tests ask it, from outside, by where its state is.
func (m *machine) follow(t *testing.T, state string) *running {
	r := &running{t: t, Client: control.NewClient(filepath.Join(m.root, state, "control.sock")), ended: make(chan struct{})}
	t.Cleanup(r.Client.Close)
	return r
}

// serviceGroups finds the service's control group, of whichever version. It
// sees ours as the root of all.
const serviceGroups = "find /sys/fs/cgroup -type d -path '*/system.slice/tokenkeeper.service' "

// processes are those in the service's control group, by their numbers inside.
func (m *machine) processes(t *testing.T) (pids []int) {
	t.Helper()
	seen := map[int]bool{}
	for field := range strings.FieldsSeq(m.inside(t, "sh", "-c", serviceGroups+"-exec cat {}/cgroup.procs \\;")) {
		if pid, err := strconv.Atoi(field); err == nil && !seen[pid] {
			seen[pid] = true
			pids = append(pids, pid)
		}
	}
	return pids
}

func (m *machine) commandOf(pid int) string {
	out, _ := m.try("sh", "-c", fmt.Sprintf("tr '\\0' ' ' </proc/%d/cmdline", pid))
	return out
}

// limitsMemory says whether systemd can limit the service's memory.
func (m *machine) limitsMemory(t *testing.T) bool {
	t.Helper()
	return strings.TrimSpace(m.inside(t, "sh", "-c", serviceGroups+
		"\\( -exec test -e {}/memory.max \\; -o -exec test -e {}/memory.limit_in_bytes \\; \\) -print")) != ""
}
