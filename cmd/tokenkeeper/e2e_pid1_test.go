package main

import (
	"fmt"
	"os"
	"os/exec"
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

// TestFirstProcessOfAContainer: as PID 1 it waits for what a sink's command has left
// behind, and takes no exit code that somebody else waits for.
func TestFirstProcessOfAContainer(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	usertest.NeedsRoot(t)
	container := []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command(container[0], append(container[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("a PID namespace can't be made, which needs root: %v %s", err, out)
	}
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour})
	s := newSite(t, "")
	script, started := s.path("leaver"), s.path("orphan")
	s.configure(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+
		"sinks: {leaver: {type: exec, command: ["+script+"]}}\n")
	write(t, script, "#!/bin/sh\ncat >/dev/null\n(sh -c 'echo $$ >"+started+".new; mv "+started+".new "+started+"' >/dev/null 2>&1 &)\n")
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	inside := s.path("inside")
	write(t, inside, "#!/bin/sh\nexec "+strings.Join(container, " ")+" "+s.program+" \"$@\"\n")
	for _, program := range []string{script, inside} {
		if err := os.Chmod(program, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.program, s.env = inside, append(s.env, "WATCHDOG_USEC=1000000") // it looks twice a second
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	first := firstChild(r.PID)
	waittest.Until(t, "the orphan is waited for", func() bool {
		pid, err := os.ReadFile(started)
		if err != nil {
			return false
		}
		_, err = os.Stat(fmt.Sprintf("/proc/%d/root/proc/%s", first, strings.TrimSpace(string(pid))))
		return os.IsNotExist(err)
	}, r.steps)

	st := r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	if st.PID != 1 {
		t.Errorf("it is process %d", st.PID)
	}
	kill := exec.Command("nsenter", "-t", fmt.Sprint(first), "--pid", "--mount", "sh", "-c", fmt.Sprintf("kill -KILL %d", provider(st, "saxo").PID))
	if out, err := kill.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	st = r.until(func(st control.Status) bool { return provider(st, "saxo").Crashes > 0 })
	if last := provider(st, "saxo").LastError; !strings.Contains(last, "SIGKILL") {
		t.Errorf("the provider ended with %q, want the kill", last)
	}
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Errorf("at SIGTERM it ended with %v", err)
	}
	s.awaitGone(t)
}
