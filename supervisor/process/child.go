package process

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// child is an operating system process that does not outlive the supervisor
// unnoticed. It implements go-plugin's runner.Runner, because go-plugin's own
// way of running a process neither tells that it was stopped, nor holds the
// thread on which Pdeathsig depends, nor survives every line that a plugin may
// write.
type child struct {
	cmd *exec.Cmd
	log *outputLog

	// pinned is the program itself, if it is executed by its descriptor; nil: it
	// is not.
	pinned *os.File

	// greeting is the first line of the standard output, for go-plugin.
	greeting *io.PipeReader
	words    tail
	// origin marks all that the process starts.
	origin string

	// lifeline is our end of what holds the process: it ends when this does.
	lifeline *os.File
	// locks is how descriptors reach the process.
	locks *lockloan.Lender

	exited chan struct{}
	heard  sync.WaitGroup // whoever reads its standard output and error
	stops  chan bool

	mu     sync.Mutex
	number int    // the process; 0: not started
	first  string // the greeting, as far as it came
	reaped bool
	killed bool
	err    error
}

func newChild(cmd *exec.Cmd, log *outputLog) *child {
	return &child{cmd: cmd, log: log, words: tail{secrets: log.secrets}, origin: rand.Text(), exited: make(chan struct{}), stops: make(chan bool, 1)}
}

// The child's descriptors after the standard ones.
const (
	lifelineFD = 3
	locksFD    = 4
)

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	var files []*os.File // the child's ends, in the order of the pipes
	var own []*os.File   // ours
	for _, childReads := range []bool{false, false, true} {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(files, own)
			return fmt.Errorf("make a pipe for %s: %w", c.cmd.Path, err)
		}
		if childReads {
			r, w = w, r
		}
		own, files = append(own, r), append(files, w)
	}
	locks, theirs, err := lockloan.Pair()
	if err != nil {
		closeAll(files, own)
		return fmt.Errorf("make a socket for the locks of %s: %w", c.cmd.Path, err)
	}
	files = append(files, theirs)
	stdout, stderr := own[0], own[1]
	c.lifeline, c.locks = own[2], locks
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = nil, files[0], files[1]
	c.cmd.ExtraFiles = files[2:]
	if c.pinned != nil {
		c.cmd.ExtraFiles = append(slices.Clip(c.cmd.ExtraFiles), c.pinned) // as pinnedFD
	}
	c.cmd.Env = append(c.cmd.Env, sdk.EnvLifeline+"="+strconv.Itoa(lifelineFD), envOrigin+"="+c.origin, sdk.EnvLocks+"="+strconv.Itoa(locksFD))
	// A group of its own, so that its children can be killed with it. SIGTERM
	// at the supervisor's death is for a program that knows nothing of a
	// lifeline; to one that does it means nothing.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}

	started := make(chan error)
	go c.own(started, stdout, stderr)
	err = <-started
	closeAll(files)
	if err != nil {
		closeAll(own)
		_ = locks.Close()
		close(c.exited)
		return err
	}
	greeting, write := io.Pipe()
	c.greeting = greeting
	c.heard.Go(func() { c.readStdout(stdout, write) })
	c.heard.Go(func() {
		defer stderr.Close()
		defer c.log.flood.tell()
		w := c.log.writer(c.log.stderr)
		log := w.emit
		w.emit = func(line []byte, cut bool) {
			c.words.add(line)
			log(line, cut)
		}
		copyLines(w, stderr)
	})
	return nil
}

// own starts the process and stays on its thread until the process is gone:
// the kernel sends Pdeathsig when the thread that forked the process ends, not
// when the supervisor does.
func (c *child) own(started chan<- error, stdout, stderr *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	if err == nil {
		c.mu.Lock()
		c.number = c.cmd.Process.Pid
		if c.killed {
			_ = unix.Kill(-c.number, unix.SIGKILL)
		}
		c.mu.Unlock()
	}
	started <- err
	if err != nil {
		return
	}
	c.watch(c.cmd.Process.Pid)
	// The dead process still holds its number, and so that of its group: no
	// other can be meant.
	c.mu.Lock()
	_ = unix.Kill(-c.number, unix.SIGKILL)
	c.reaped = true
	c.mu.Unlock()
	err = c.cmd.Wait()
	c.endDescendants()
	// All that it wrote is in the pipes; a grandchild that left the group may
	// hold them open for ever.
	soon := time.Now().Add(time.Second)
	_ = stdout.SetReadDeadline(soon)
	_ = stderr.SetReadDeadline(soon)
	_ = c.lifeline.Close()
	_ = c.locks.Close()
	c.mu.Lock()
	c.err = endedBy(err)
	c.mu.Unlock()
	close(c.exited)
}

// watch returns when the process has ended and is not reaped yet. It tells of
// stops in between. It costs nothing while nothing happens.
func (c *child) watch(pid int) {
	// SIGCHLD's codes, sigaction(2).
	const cldStopped, cldContinued = 5, 6
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || (info.Code != cldStopped && info.Code != cldContinued) {
			return
		}
		// WNOWAIT left the news where it was, or it would have reaped an
		// exit: take the news of a stop away, and whatever it is by now.
		info = unix.Siginfo{}
		if unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG, nil) != nil {
			continue
		}
		if info.Code == cldStopped || info.Code == cldContinued {
			c.tell(info.Code == cldStopped)
		}
	}
}

// tell replaces the news that nobody has read yet.
func (c *child) tell(stopped bool) {
	select {
	case <-c.stops:
	default:
	}
	c.stops <- stopped // there is room: this is the only sender
}

// longestGreeting is some times the size of go-plugin's handshake with a
// certificate.
const longestGreeting = 16 << 10

// readStdout gives the first line to go-plugin and the rest to the log.
// go-plugin reads line by line with a limit and stops reading for good at a
// longer one, which would block the plugin.
func (c *child) readStdout(stdout *os.File, greeting *io.PipeWriter) {
	defer stdout.Close()
	rest := c.log.writer(c.log.stdout)
	var line []byte
	buf := make([]byte, 1<<10)
	for {
		n, err := stdout.Read(buf)
		before, after, found := bytes.Cut(buf[:n], []byte{'\n'})
		line = append(line, before...)
		if found || err != nil || len(line) > longestGreeting {
			c.mu.Lock()
			if len(line) > 0 {
				c.first = cmp.Or(c.log.secrets.Clean(string(line), longestGreeting), "nothing that can be read")
			}
			c.mu.Unlock()
			if found {
				_, _ = greeting.Write(append(line, '\n'))
			}
			_ = greeting.Close()
			_, _ = rest.Write(after)
			if err != nil {
				return
			}
			break
		}
	}
	copyLines(rest, stdout)
}

// signalGroup sends sig to the process and its children; to nobody if it is
// gone. SIGKILL also reaches one that is just being started.
func (c *child) signalGroup(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return
	}
	if sig == unix.SIGKILL {
		c.killed = true
	}
	if c.number != 0 {
		_ = unix.Kill(-c.number, sig)
	}
}

// letGo asks the process to finish and end, stopped or not. It is no signal:
// those come from others, too.
func (c *child) letGo() {
	if c.lifeline != nil {
		_ = c.lifeline.Close()
	}
	c.signalGroup(unix.SIGCONT)
}

// hearOut returns when all is read that an ended process wrote, which takes no
// longer than [child.own] lets the pipes be read.
func (c *child) hearOut() { c.heard.Wait() }

// result is how the process ended, or nil while it runs or after exit 0.
func (c *child) result() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// greeted is what came of the first line.
func (c *child) greeted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// wasKilled says that it is the supervisor's kill of which it died.
func (c *child) wasKilled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed && errors.Is(c.err, signalled(unix.SIGKILL))
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return c.result()
}

// Kill implements runner.Runner.
func (c *child) Kill(context.Context) error {
	c.signalGroup(unix.SIGKILL)
	return nil
}

// Stdout implements runner.Runner: go-plugin gets the handshake alone.
func (c *child) Stdout() io.ReadCloser { return c.greeting }

// Stderr implements runner.Runner: go-plugin gets nothing, its parser panics
// at lines whose fields have unexpected types.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Path }

// ID implements runner.Runner.
func (c *child) ID() string { return strconv.Itoa(c.pid()) }

// pid of the process; 0: not started.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number
}

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner.
func (c *child) PluginToHost(network, addr string) (string, string, error) { return network, addr, nil }

// HostToPlugin implements runner.Runner.
func (c *child) HostToPlugin(network, addr string) (string, string, error) { return network, addr, nil }

// endedBy words the result of a wait.
func endedBy(err error) error {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalled(status.Signal())
	}
	return fmt.Errorf("exit status %d", exit.ExitCode())
}

// signalled is the end of a process by a signal.
type signalled syscall.Signal

func (s signalled) Error() string { return "killed by " + unix.SignalName(syscall.Signal(s)) }

func closeAll(lists ...[]*os.File) {
	for _, files := range lists {
		for _, f := range files {
			_ = f.Close()
		}
	}
}
