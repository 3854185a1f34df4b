package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// supervisorProcess starts this binary as a supervisor and returns the PID of
// its provider.
func supervisorProcess(t *testing.T, args ...string) (cmd *exec.Cmd, provider int) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(line, "provider_started %d", &provider); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return cmd, provider
}

func TestKilledSupervisorLeavesNoIdleProvider(t *testing.T) {
	t.Parallel()
	cmd, pid := supervisorProcess(t, "supervise", shortDir(t), "")
	_ = cmd.Process.Kill()
	t.Logf("gone after %s", gone(t, pid, 8))
}

// A plugin that was not built with package sdk may not look at its lifeline.
func TestKilledSupervisorLeavesNoProcessWithoutLifeline(t *testing.T) {
	t.Parallel()
	cmd, pid := supervisorProcess(t, "parent")
	_ = cmd.Process.Kill()
	t.Logf("gone after %s", gone(t, pid, 8))
}

func TestKilledSupervisorLeavesTheAnswerInTheSpool(t *testing.T) {
	t.Parallel()
	dir, b := shortDir(t), newBroker(t)
	cmd, pid := supervisorProcess(t, "supervise", dir, b.path)
	conn := b.sent(t)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	answerOrphan(t, dir, pid, conn)
}

// The kernel sends SIGHUP and SIGCONT to a stopped process whose supervisor
// dies (it is in an orphaned process group then, setpgid(2)).
func TestKilledSupervisorOfAStoppedProvider(t *testing.T) {
	t.Parallel()
	dir, b := shortDir(t), newBroker(t)
	cmd, pid := supervisorProcess(t, "supervise", dir, b.path)
	conn := b.sent(t)
	waittest.Stop(t, cmd.Process.Pid) // or it would continue the provider
	waittest.Stop(t, pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// Where a process of the same session adopts the orphan, the kernel does
	// not continue it.
	_ = unix.Kill(pid, unix.SIGCONT)
	answerOrphan(t, dir, pid, conn)
}

// answerOrphan lets the broker answer a provider that lost its supervisor, and
// looks for the answer in the spool.
func answerOrphan(t *testing.T, dir string, pid int, conn net.Conn) {
	t.Helper()
	<-time.After(300 * time.Millisecond) // in which it must not end
	if _, err := io.WriteString(conn, "token-2\n"); err != nil {
		t.Fatal(err)
	}
	gone(t, pid, 8)

	sp, err := spool.Open(context.Background(), dir+"/spool", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	entries := sp.Unsettled()
	if len(entries) != 1 || entries[0].Attempt != "killed" || entries[0].Progress != spool.Answered {
		t.Errorf("the spool holds %+v", entries)
	}
}
