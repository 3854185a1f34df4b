package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// An ordinary user runs it and allows cores. What the supervisor and a provider
// hold in memory is shown to no other program of that user, and stands in no
// core when it is aborted; --debug-dumpable shows it.
func TestNoTokenInACore(t *testing.T) {
	usertest.NeedsRoot(t)
	for name, c := range map[string]struct {
		flags  []string
		closed bool
	}{
		"as it is run":          {nil, true},
		"with --debug-dumpable": {[]string{"--debug-dumpable"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour})
			s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+filesYAML)
			s.logIn(t, saxo, saxoAccount, format.SaxoCache)
			program := s.path("tokenkeeper")
			b, err := os.ReadFile(s.program)
			if err = errors.Join(err, filestest.WriteProgram(program, b, 0o755), giveAway(s.dir)); err != nil {
				t.Fatal(err)
			}
			s.program = program

			user := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: usertest.Stranger, Gid: usertest.Stranger}}
			run := s.command(t.Context(), "", append([]string{"run"}, c.flags...)...)
			cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh"}, run.Args...)...)
			cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir, append(run.Env, "GOTRACEBACK=crash"), user
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
			var token []byte
			waittest.Until(t, "the delivery", func() bool {
				held, err := os.ReadFile(s.path(saxoAccount + ".json"))
				if _, after, ok := strings.Cut(string(held), `"access_token":`); ok && err == nil {
					token = []byte(strings.SplitN(after, `"`, 3)[1])
				}
				return len(token) > 20
			})
			pids := []string{strconv.Itoa(cmd.Process.Pid)}
			waittest.Until(t, "the provider", func() bool {
				pids = pids[:1]
				for _, child := range childrenOf(t, cmd.Process.Pid) {
					// Go's own first start of a process makes another child for a moment.
					if line, err := os.ReadFile("/proc/" + child + "/cmdline"); err == nil && strings.Contains(string(line), "\x00"+providerVerb+"\x00") {
						pids = append(pids, child)
					}
				}
				return len(pids) == 2
			})
			for _, pid := range pids {
				waittest.Until(t, "a provider has begun to serve, and its user may look into it or not", func() bool {
					look := exec.Command("cat", "/proc/"+pid+"/environ")
					look.SysProcAttr = user
					return (look.Run() != nil) == c.closed
				})
				limits := readText(t, "/proc/"+pid+"/limits")
				_, core, _ := strings.Cut(limits, "Max core file size")
				if soft := strings.Fields(core)[0]; (soft == "0") != c.closed {
					t.Errorf("process %s: a core may have %s bytes", pid, soft)
				}
			}

			if err := cmd.Process.Signal(unix.SIGABRT); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGABRT || status.CoreDump() && c.closed {
				t.Errorf("it ended with %v", err)
			}
			found := false
			cores, _ := filepath.Glob(s.path("core*"))
			for _, core := range cores {
				b, err := os.ReadFile(core)
				if err != nil {
					t.Fatal(err)
				}
				found = found || bytes.Contains(b, token)
			}
			if c.closed && len(cores) > 0 {
				t.Errorf("there are cores, with the token: %v", found)
			}
			// What proves that the search finds it, where cores are plain files.
			if pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern"); !c.closed && err == nil && strings.TrimSpace(string(pattern)) == "core" && !found {
				t.Errorf("the token is in none of %v", cores)
			}
		})
	}
}

// giveAway makes everything in dir the stranger's.
func giveAway(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, usertest.Stranger, usertest.Stranger))
	})
}

// childrenOf lists the processes that pid has started.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}
