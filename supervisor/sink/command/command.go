// Package command is the sink that runs a program with each new token, or
// signals one that is running.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// DefaultTimeout of one run.
const DefaultTimeout = 10 * time.Second

// lastWords is how long what a program prints is waited for after it has
// ended: a child of it may hold the pipe.
const lastWords = 200 * time.Millisecond

// Config is one sink that runs a program.
type Config struct {
	// Command and its arguments. A name without a slash is looked up in $PATH.
	Command []string
	// Encode makes what the program reads from its standard input.
	Encode func(format.Document) ([]byte, error)
	// Timeout of one run; 0: DefaultTimeout.
	Timeout time.Duration
}

// Sink runs the program once for each delivery. The token counts as delivered
// when the program exits with 0, whether it read its input or not. One that is
// not done in time is killed with its whole process group; what it leaves
// running after it succeeded goes on.
//
// Its environment holds PATH, HOME, USER, TZ, LANG, TMPDIR and XDG_RUNTIME_DIR
// of the supervisor and, to tell the deliveries apart, TOKENKEEPER_ACCOUNT,
// TOKENKEEPER_PROVIDER, TOKENKEEPER_VERSION and TOKENKEEPER_DELIVERY; never a
// token. It implements [sink.Sink].
type Sink struct{ cfg Config }

var _ sink.Sink = (*Sink)(nil)

// New checks cfg and runs nothing.
func New(cfg Config) (*Sink, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	switch {
	case len(cfg.Command) == 0 || cfg.Command[0] == "":
		return nil, errors.New("a sink of type exec needs a command")
	case cfg.Encode == nil:
		return nil, errors.New("a sink of type exec needs a format")
	}
	return &Sink{cfg: cfg}, nil
}

// Deliver runs the program.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var stderr counter
	cmd := exec.CommandContext(ctx, s.cfg.Command[0], s.cfg.Command[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(content), &stderr
	cmd.Env = environment(d)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = lastWords
	if err := cmd.Start(); err != nil {
		return s.explainStart(err)
	}
	err = cmd.Wait()
	if cmd.ProcessState != nil && cmd.ProcessState.Success() && ctx.Err() == nil {
		return nil // a child that holds the pipe is no failure
	}
	_ = killGroup(cmd.Process.Pid)
	return s.explain(ctx, cmd, err, int64(stderr))
}

// killGroup kills all that a program started and that is left of it.
func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func environment(d sink.Delivery) []string {
	var env []string
	for _, name := range [...]string{"PATH", "HOME", "USER", "TZ", "LANG", "TMPDIR", "XDG_RUNTIME_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env,
		"TOKENKEEPER_ACCOUNT="+d.Document.Account, "TOKENKEEPER_PROVIDER="+d.Document.Provider,
		"TOKENKEEPER_VERSION="+strconv.FormatUint(d.Version, 10), "TOKENKEEPER_DELIVERY="+d.ID)
}

func (s *Sink) explainStart(err error) error {
	program := s.cfg.Command[0]
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no program %s: install it, or write its whole path", program)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be run: let the user that runs Tokenkeeper execute it (chmod +x)", program)
	}
	return fmt.Errorf("%s can't be started: %w", program, err)
}

// explain tells how the program ended. What it printed is only counted: it may
// print what it got.
func (s *Sink) explain(ctx context.Context, cmd *exec.Cmd, err error, printed int64) error {
	program, hint := s.cfg.Command[0], ""
	if printed > 0 {
		hint = fmt.Sprintf("; it printed %d bytes of errors, which are not shown because they may hold the token: run it by hand", printed)
	}
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s was not done within %s and was killed%s: %w", program, s.cfg.Timeout, hint, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.Exited():
		return fmt.Errorf("%s ended with exit code %d%s", program, exit.ExitCode(), hint)
	case errors.As(err, &exit):
		return fmt.Errorf("%s ended by a signal (%s)%s", program, cmd.ProcessState, hint)
	}
	return fmt.Errorf("%s failed%s: %w", program, hint, err)
}

// counter counts what is written to it and keeps nothing.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
