package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// What a watchdog's SIGABRT shows of the process is in a file, of which the next start
// tells.
func TestStacksOfAnAbort(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newSite(t, "accounts:\n  main: {provider: saxo, client_id: id}\n")
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	if info, err := os.Stat(s.path("state/stacks")); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("while it runs: %v, %v", info, err)
	}
	if err := r.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(r.Wait(), &exit) || exit.ExitCode() != 2 {
		t.Fatalf("it ended with %v", r.err)
	}
	s.awaitGone(t)

	r = startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	stacks := string(readFile(t, s.path("state/stacks.before")))
	for _, want := range []string{"SIGABRT", "goroutine ", "watchdog.Watchdog.Run"} {
		if !strings.Contains(stacks, want) {
			t.Errorf("%q is not among the stacks", want)
		}
	}
	if log := r.Stderr(); !strings.Contains(log, s.path("state/stacks.before")) {
		t.Errorf("the log does not tell of them:\n%s", log)
	}
	if info, err := os.Stat(s.path("state/stacks")); err != nil || info.Size() != 0 {
		t.Errorf("after the next start: %v, %v", info, err)
	}
	r.Stop()
}
