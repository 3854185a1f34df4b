package command_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// bot runs a program that tells when it is signalled, and returns its number
// and what it says.
func bot(t *testing.T) (pid int, said *bufio.Reader, end func()) {
	t.Helper()
	// Without env, a shell that was started with SIGHUP ignored, as by nohup,
	// could not trap it.
	cmd := exec.Command("env", "--default-signal=HUP", "sh", "-c", "trap 'echo HUP' HUP; trap 'echo USR1' USR1; echo ready; while :; do read x; done")
	stdin, _ := cmd.StdinPipe() // open and silent: read waits
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	end = func() {
		if !done {
			done = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = stdin.Close()
		}
	}
	t.Cleanup(end)
	said = bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	return cmd.Process.Pid, said, end
}

func TestSignal(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	for _, name := range []string{"HUP", "USR1"} {
		s, err := command.NewSignaller(command.SignalConfig{PIDFile: pidfile, Signal: name})
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(pidfile)
		deliver := func() error { return s.Deliver(t.Context(), sinktest.Bare("a", 1)) }
		if err := deliver(); !errors.Is(err, sink.ErrAbsent) {
			t.Errorf("no pidfile: %v", err)
		}
		pid, said, end := bot(t)
		if err := os.WriteFile(pidfile, []byte(strconv.Itoa(pid)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := deliver(); err != nil {
			t.Fatal(err)
		}
		if line, err := said.ReadString('\n'); line != name+"\n" {
			t.Errorf("the bot said %q, %v", line, err)
		}
		end()
		if err := deliver(); !errors.Is(err, sink.ErrAbsent) {
			t.Errorf("it has ended: %v", err)
		}
	}
}

func TestPidfilesThatAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	pid, _, _ := bot(t)
	for content, want := range map[string]string{
		"": "empty", "1": "may be signalled", "-1": "may be signalled", "0": "may be signalled", "x": "may be signalled",
		strconv.Itoa(os.Getpid()): "may be signalled",
	} {
		path := filepath.Join(dir, "pid")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		refuse(t, path, want)
	}
	everybody := filepath.Join(dir, "everybody")
	if err := errors.Join(os.WriteFile(everybody, []byte(strconv.Itoa(pid)), 0o600), os.Chmod(everybody, 0o666)); err != nil {
		t.Fatal(err)
	}
	refuse(t, everybody, "everybody may write")
	refuse(t, dir, "no file")
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, "foreign")
		if err := errors.Join(os.WriteFile(foreign, []byte(strconv.Itoa(pid)), 0o600), os.Chown(foreign, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		refuse(t, foreign, "another user")
	}
}

func refuse(t *testing.T, pidfile, want string) {
	t.Helper()
	s, err := command.NewSignaller(command.SignalConfig{PIDFile: pidfile, Signal: "HUP"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %s", pidfile, err, want)
	}
}
