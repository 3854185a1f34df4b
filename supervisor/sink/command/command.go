// Package command is the sink that runs a program with each new token, or
// signals one that is running.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// DefaultTimeout of one run.
const DefaultTimeout = 10 * time.Second

// workingDir of what is run.
const workingDir = "/"

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
	// Trust are users who may change the program, beside root and our own.
	Trust []int
}

// Sink runs the program once for each delivery. The token counts as delivered
// when the program exits with 0, whether it read its input or not. One that is
// not done in time is killed with its whole process group; what it leaves
// running after it succeeded goes on.
//
// Its environment holds PATH, HOME, USER, TZ, LANG, TMPDIR and XDG_RUNTIME_DIR
// of the supervisor and, to tell what it is run for, TOKENKEEPER_EVENT (token,
// alert, lifecycle or test), TOKENKEEPER_DELIVERY (the same for every try),
// TOKENKEEPER_ACCOUNT and TOKENKEEPER_PROVIDER, for tokens and tests
// TOKENKEEPER_VERSION, and for the others TOKENKEEPER_TYPE, e.g. needs_login; never
// a token. The input of an alert or a lifecycle event is what [sink.Notice] is as
// JSON, that of a test what a token's is, with "test": true in it if it is JSON.
//
// It implements [sink.Sink], [sink.Notifier], [sink.Tester] and [sink.Addressed].
type Sink struct{ cfg Config }

var (
	_ sink.Sink     = (*Sink)(nil)
	_ sink.Notifier = (*Sink)(nil)
	_ sink.Tester   = (*Sink)(nil)

	_ sink.Addressed = (*Sink)(nil)
)

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

// Address implements [sink.Addressed]: what is run, with the arguments that sound like no
// secret.
func (s *Sink) Address() string {
	return sink.AddressOf("exec", sink.CommandAddress(s.cfg.Command)...)
}

// Deliver runs the program with the token in its input.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	return s.run(ctx, content, aboutToken(string(sink.KindToken), d.ID, d)...)
}

// Notify runs the program with the notice in its input.
func (s *Sink) Notify(ctx context.Context, n sink.Notice) error {
	content, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("%w: the notice can't be written as JSON", sink.ErrRefused)
	}
	told := []string{about("EVENT", string(n.Kind)), about("DELIVERY", n.ID)}
	switch {
	case n.Alert != nil:
		told = append(told, about("ACCOUNT", n.Alert.Account), about("PROVIDER", n.Alert.Provider), about("TYPE", string(n.Alert.Type)))
	case n.Event != nil:
		told = append(told, about("ACCOUNT", n.Event.Account), about("PROVIDER", n.Event.Provider), about("TYPE", string(n.Event.Type)))
	}
	return s.run(ctx, append(content, '\n'), told...)
}

// Test runs the program as a delivery of the newest token does, marked as a test. So a
// program that does not look for the mark has nothing to fail at, and puts nothing wrong
// in the place of what it has.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return "", fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	if err := s.run(ctx, marked(content), aboutToken("test", "test-"+d.ID, d)...); err != nil {
		return "", err
	}
	return fmt.Sprintf("ran %s with version %d of account %s, marked as a test; it ended with 0", s.cfg.Command[0], d.Version, d.Document.Account), nil
}

// marked is content with "test": true in front, if it is an object of JSON.
func marked(content []byte) []byte {
	inside, isObject := bytes.CutPrefix(bytes.TrimSpace(content), []byte("{"))
	if !isObject || !json.Valid(content) || bytes.HasPrefix(bytes.TrimSpace(inside), []byte("}")) {
		return content
	}
	return slices.Concat([]byte(`{"test": true, `), bytes.TrimSpace(inside), []byte("\n"))
}

// aboutToken tells what a run with a token is for.
func aboutToken(event, id string, d sink.Delivery) []string {
	return []string{
		about("EVENT", event), about("DELIVERY", id),
		about("ACCOUNT", d.Document.Account), about("PROVIDER", d.Document.Provider), about("VERSION", strconv.FormatUint(d.Version, 10)),
	}
}

// run runs the program once. told is added to its environment.
func (s *Sink) run(ctx context.Context, input []byte, told ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var stderr counter
	if err := s.trusted(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.cfg.Command[0], s.cfg.Command[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	cmd.Env = append(inherited(), told...)
	cmd.Dir = workingDir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = lastWords
	if err := cmd.Start(); err != nil {
		return explainStart(s.cfg.Command[0], err)
	}
	err := cmd.Wait()
	if cmd.ProcessState != nil && cmd.ProcessState.Success() && ctx.Err() == nil {
		return nil // a child that holds the pipe is no failure
	}
	_ = killGroup(cmd.Process.Pid)
	return s.explain(ctx, cmd, err, int64(stderr))
}

// trusted refuses a program, and a script among its arguments, that somebody else
// could have put there.
func (s *Sink) trusted() error {
	path, err := exec.LookPath(s.cfg.Command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil // told when it is started
	}
	judge, rule := trust.Here(), trust.Rule{Steers: true, Users: s.cfg.Trust}
	var refusal *trust.Refusal
	if _, err := judge.Examine(path, rule); errors.As(err, &refusal) {
		return fmt.Errorf("%s is not run: %w", path, err)
	}
	if err := judge.Operands(append([]string{path}, s.cfg.Command[1:]...), workingDir, true, rule); err != nil {
		return fmt.Errorf("%s is not run: %w", path, err)
	}
	return nil
}

// killGroup kills all that a program started and that is left of it.
func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// inherited is what a program gets of the supervisor's environment, which may
// hold secrets.
func inherited() []string {
	var env []string
	for _, name := range [...]string{"PATH", "HOME", "USER", "TZ", "LANG", "TMPDIR", "XDG_RUNTIME_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// about is one variable that tells what the program is run for.
func about(name, value string) string {
	return "TOKENKEEPER_" + name + "=" + strings.ReplaceAll(value, "\x00", "")
}

// explainStart says why a program was not started, and what to do.
func explainStart(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no program %s: install it, or write its whole path", program)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be run: let the user that runs Tokenkeeper execute it (chmod +x): %w", program, fs.ErrPermission)
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
