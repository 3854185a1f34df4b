package command_test

import (
	"bufio"
	"cmp"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
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

func TestSignalContract(t *testing.T) {
	const noAnswer, noWait = "a signal is not answered", "kill(2) waits for nobody"
	sinktest.Run(t, sinktest.Suite{Carries: sinktest.Signals, New: func(t *testing.T) sinktest.Destination {
		pidfile := filepath.Join(t.TempDir(), "pid")
		s, err := command.NewSignaller(command.SignalConfig{PIDFile: pidfile, Signal: "HUP"})
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		var mu sync.Mutex
		var heard []string
		write := func(content string) func(*testing.T) {
			return func(t *testing.T) {
				if err := os.WriteFile(pidfile, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		return sinktest.Destination{
			Sink:    s,
			Missing: sink.ErrAbsent,
			Appear: func(t *testing.T) {
				var said *bufio.Reader
				pid, said, _ = bot(t)
				go func() {
					for {
						line, err := said.ReadString('\n')
						if err != nil {
							return
						}
						mu.Lock()
						heard = append(heard, line)
						mu.Unlock()
					}
				}()
				write(strconv.Itoa(pid))(t)
			},
			Received: func(*testing.T) []string {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(heard)
			},
			Mend: func(t *testing.T) { write(strconv.Itoa(pid))(t) },
			Faults: map[string]sinktest.Fault{
				"it could not write its pidfile": {Case: sinktest.FullDisk, Set: write(""), Want: sink.ErrAbsent},
				"another's pidfile":              {Set: write("1")},
				"stopped for a moment": {Case: sinktest.SlowReader, Harmless: true, Set: func(t *testing.T) {
					if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
						t.Fatal(err)
					}
					time.AfterFunc(50*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
				}},
			},
		}
	}, Never: map[sinktest.Case]string{
		sinktest.HTTPRedirect: noHTTP, sinktest.HTTPClientError: noHTTP, sinktest.HTTPServerError: noHTTP,
		sinktest.Hang: noWait, sinktest.ResetInAnswer: noAnswer, sinktest.LateAnswer: noAnswer,
		sinktest.NoAck: noAnswer, sinktest.WrongAck: noAnswer,
		sinktest.Notices: "a signal has no room for what happened",
	}})
}

func TestTestSendsNothing(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	s, err := command.NewSignaller(command.SignalConfig{PIDFile: pidfile, Signal: "HUP"})
	if err != nil {
		t.Fatal(err)
	}
	pid, said, end := bot(t)
	if err := os.WriteFile(pidfile, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Test(t.Context(), sinktest.Bare("a", 1)); err != nil || !strings.Contains(done, strconv.Itoa(pid)) {
		t.Errorf("it runs: %s, %v", done, err)
	}
	// What was sent before this one would be heard before it.
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if line, err := said.ReadString('\n'); line != "USR1\n" {
		t.Errorf("the bot said %q, %v", line, err)
	}
	end()
	if _, err := s.Test(t.Context(), sinktest.Bare("a", 1)); !errors.Is(err, sink.ErrAbsent) {
		t.Errorf("it has ended: %v", err)
	}
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
	refuse(t, everybody, "can be changed by everybody")
	refuse(t, dir, "no file but a folder")
	pipe, socket := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for path, want := range map[string]string{pipe: "is no file but a pipe (FIFO): name the file", socket: "is no file but a socket: name the file"} {
		refuse(t, path, map[bool]string{true: want, false: "can't be read"}[path == pipe])
		s, err := command.NewSignaller(command.SignalConfig{PIDFile: path, Signal: "HUP"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Trusted(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("before it is used, of %s: %v", path, err)
		}
	}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, "foreign")
		if err := errors.Join(os.WriteFile(foreign, []byte(strconv.Itoa(pid)), 0o600), os.Chown(foreign, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		refuse(t, foreign, "another user")
	}
}

// A link of a stranger could make any number that root has written somewhere
// the program's: /proc alone holds thousands.
func TestPidfileByALink(t *testing.T) {
	dir := t.TempDir()
	pid, said, _ := bot(t)
	theirs := filepath.Join(dir, "theirs")
	real := filepath.Join(dir, "real")
	link := filepath.Join(theirs, "pid")
	if err := errors.Join(os.Mkdir(theirs, 0o755), os.WriteFile(real, []byte(strconv.Itoa(pid)), 0o644), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	s, err := command.NewSignaller(command.SignalConfig{PIDFile: link, Signal: "HUP"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Errorf("a link of our own: %v", err)
	}
	if line, err := said.ReadString('\n'); line != "HUP\n" {
		t.Errorf("the bot said %q, %v", line, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a link that is another user's")
	}
	const stranger = 65533
	if err := errors.Join(os.Chown(theirs, stranger, stranger), os.Lchown(link, stranger, stranger)); err != nil {
		t.Fatal(err)
	}
	refuse(t, link, "symbolic link")
	// Also in a folder where everybody may have made it, and in one on the way.
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(real, filepath.Join(open, "pid")), os.Lchown(filepath.Join(open, "pid"), stranger, stranger),
		os.Symlink(dir, filepath.Join(theirs, "way")), os.Lchown(filepath.Join(theirs, "way"), stranger, stranger)); err != nil {
		t.Fatal(err)
	}
	refuse(t, filepath.Join(open, "pid"), "trust_folder: true")
	refuse(t, filepath.Join(open, "pid"), "symbolic link", accepted)
	refuse(t, filepath.Join(theirs, "way", "real"), "symbolic link")
	// The owner of the folder may name his own programs, and no others by a file of
	// root that he has brought there.
	own := filepath.Join(theirs, "root")
	if err := os.WriteFile(own, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err = command.NewSignaller(command.SignalConfig{PIDFile: own, Signal: "USR1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil || !strings.Contains(err.Error(), "of another user") {
		t.Errorf("a pidfile of root in another user's folder: %v", err)
	}
	if err := os.WriteFile(own, []byte(strconv.Itoa(sleepAs(t, stranger))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Test(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Errorf("it names a program of that user: %v", err)
	}
}

// accepted takes a folder that others may write into.
func accepted(c *command.SignalConfig) { c.TrustFolder = true }

func refuse(t *testing.T, pidfile, want string, change ...func(*command.SignalConfig)) {
	t.Helper()
	cfg := command.SignalConfig{PIDFile: pidfile, Signal: "HUP"}
	for _, f := range change {
		f(&cfg)
	}
	s, err := command.NewSignaller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %s", pidfile, err, want)
	}
}

// TestPidfilesOfOthers: who may write a pidfile, or put one there, has whom he
// likes signalled by root. So it is believed where nobody can who is not trusted,
// and of another user only about his own processes.
func TestPidfilesOfOthers(t *testing.T) {
	usertest.NeedsRoot(t)
	const bots, stranger, group = usertest.Stranger, usertest.Stranger + 1, 34569
	ours, _, _ := bot(t)
	theirs := process(t, bots)
	for name, c := range map[string]struct {
		folder, file  int // whose they are
		mode          os.FileMode
		fileMode      os.FileMode // 0: 0644
		pid           int
		want, trusted string // what the refusal says, without the key and with it; "": signalled
	}{
		"root's, in root's folder":                {mode: 0o755, pid: ours},
		"root's, about another's":                 {mode: 0o755, pid: theirs},
		"the bots', in root's folder":             {mode: 0o755, file: bots, pid: theirs},
		"the bots', in their folder":              {folder: bots, mode: 0o755, file: bots, pid: theirs},
		"the bots', about ours":                   {folder: bots, mode: 0o755, file: bots, pid: ours, want: "of another user", trusted: "of another user"},
		"a stranger's, in a sticky folder":        {mode: 0o777 | os.ModeSticky, file: stranger, pid: ours, want: "who may have put it there", trusted: "of another user"},
		"the bots', in a sticky folder":           {mode: 0o777 | os.ModeSticky, file: bots, pid: theirs, want: "trust_folder: true"},
		"root's, in a sticky folder":              {mode: 0o777 | os.ModeSticky, pid: ours},
		"root's, in a folder for all":             {mode: 0o777, pid: ours, want: "trust_folder: true"},
		"a stranger's, about the bots'":           {mode: 0o777, file: stranger, pid: theirs, want: "trust_folder: true", trusted: "of another user"},
		"root's, which a group may write":         {mode: 0o755, fileMode: 0o664, pid: ours, want: "can be changed by the group 34569", trusted: "can be changed by the group"},
		"root's, in a folder that a group writes": {mode: 0o775, pid: ours, want: "can be changed by the group 34569"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			path := filepath.Join(dir, "bot.pid")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, []byte(strconv.Itoa(c.pid)), 0o600),
				os.Chown(path, c.file, group), os.Chmod(path, cmp.Or(c.fileMode, 0o644)),
				os.Chown(dir, c.folder, group), os.Chmod(dir, c.mode)); err != nil {
				t.Fatal(err)
			}
			for trustFolder, want := range map[bool]string{false: c.want, true: c.trusted} {
				s, err := command.NewSignaller(command.SignalConfig{PIDFile: path, Signal: "HUP", TrustFolder: trustFolder})
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Test(t.Context(), sinktest.Bare("a", 1))
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("trust_folder %t: %v, want %q", trustFolder, err, want)
				}
				// check knows as much, without asking about any process.
				if err := s.Trusted(); (err == nil) != (want == "" || want == "of another user") {
					t.Errorf("trust_folder %t, at check: %v", trustFolder, err)
				}
			}
		})
	}
}

// process runs one of another user, who does nothing.
func process(t *testing.T, uid int) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

// sleepAs starts a program of another user, which does nothing.
func sleepAs(t *testing.T, uid uint32) int {
	t.Helper()
	c := exec.Command("sleep", "60")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	return c.Process.Pid
}
