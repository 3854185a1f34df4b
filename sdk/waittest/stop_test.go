package waittest_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// A process that is stopped takes no more of the processor, from the moment at
// which Stop returns.
func TestStop(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	used := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		ran, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", cmd.Process.Pid))
		if err != nil {
			return string(b) // ticks are coarser
		}
		return string(ran)
	}
	runs := func() {
		t.Helper()
		before := used()
		waittest.Until(t, "it runs", func() bool { return used() != before })
	}
	runs()
	for range 20 {
		waittest.Stop(t, cmd.Process.Pid)
		before := used()
		other := exec.Command("true") // takes a while
		if err := other.Run(); err != nil {
			t.Fatal(err)
		}
		if after := used(); after != before {
			t.Fatalf("it ran on: %s, then %s", before, after)
		}
		if err := unix.Kill(cmd.Process.Pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		runs()
	}
}
