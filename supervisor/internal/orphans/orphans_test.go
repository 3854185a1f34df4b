package orphans

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// An orphan is waited for, but not before whoever may have started it has had the time
// to.
func TestOrphansAreWaitedFor(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // as PID 1 is
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "(sh -c 'echo $$; exec >/dev/null' &)").Output()
	if err != nil {
		t.Fatal(err)
	}
	orphan := strings.TrimSpace(string(out))
	there := func() bool {
		_, err := os.Stat("/proc/" + orphan)
		return err == nil
	}
	ours := exec.Command("sh", "-c", "exit 7")
	if err := ours.Start(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "both have ended", func() bool { return len(zombies()) == 2 })

	now := time.Now()
	r := &Reaper{}
	r.Look(now)
	r.Look(now.Add(patience - 1))
	if !there() {
		t.Error("the orphan is waited for at once")
	}
	if err := ours.Wait(); fmt.Sprint(err) != "exit status 7" {
		t.Errorf("who waits for his own process gets %v", err)
	}
	r.Look(now.Add(patience))
	if there() {
		t.Error("nobody has waited for the orphan")
	}
	if left := zombies(); len(left) > 0 || len(r.ended) > 0 {
		t.Errorf("left are %v, known %v", left, r.ended)
	}
	if New() != nil && os.Getpid() != 1 {
		t.Error("a process that is given no orphans looks for them")
	}
	(*Reaper)(nil).Look(now)
}
