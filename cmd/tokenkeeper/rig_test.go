package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// This file is what end-to-end tests share: the program, built once; a folder
// to install it in; "tokenkeeper run" as a real process; and waiting for what
// it comes to.

// program is the program under test, built at most once in a run of the tests.
var program struct {
	once sync.Once
	dir  string
	err  error
}

// buildProgram returns the path of the program, built as a user builds it, or
// with the race detector if the tests are.
func buildProgram(t *testing.T) string {
	t.Helper()
	skipUnlessRaced(t)
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "tokenkeeper-test-"); program.err == nil {
			program.err = goBuild(".", filepath.Join(program.dir, "tokenkeeper"))
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.dir, "tokenkeeper")
}

// removeProgram is for TestMain.
func removeProgram() {
	if program.dir != "" {
		_ = os.RemoveAll(program.dir)
	}
}

// goBuild builds the program in dir, without the network: whoever could build
// the tests has all that it takes.
func goBuild(dir, binary string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-race="+strconv.FormatBool(raceDetector), "-o", binary, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, out)
	}
	return nil
}

// site is one installation: a folder with a configuration, the state
// directory and whatever the sinks write. Paths in the configuration are
// relative to it.
type site struct {
	program, dir, config string
	// env is added to the environment of every process.
	env []string
	// logs are the paths of what its supervisors have logged. What a command
	// waits for is under way while one of them grows.
	logs []string
	mu   sync.Mutex // guards logs
}

// newSite writes the configuration, less state_dir, into a folder with a path
// short enough for sockets.
func newSite(t *testing.T, yaml string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{program: buildProgram(t), dir: dir, config: filepath.Join(dir, "tokenkeeper.yaml")}
	t.Cleanup(func() {
		s.awaitGone(t) // a provider of a supervisor that was killed still writes
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.configure(t, yaml)
	return s
}

// configure replaces the configuration.
func (s *site) configure(t *testing.T, yaml string) {
	t.Helper()
	if err := os.WriteFile(s.config, []byte("state_dir: state\n"+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
}

// path of a file in the folder.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) command(ctx context.Context, stdin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, append(args, "-c", s.config)...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + s.dir}, s.env...)
	if zone, ok := os.LookupEnv("TZ"); ok {
		cmd.Env = append(cmd.Env, "TZ="+zone) // token files hold local times
	}
	if os.Geteuid() != 0 { // who could not look into the processes otherwise
		cmd.Env = append(cmd.Env, coredump.EnvAllow+"=1")
	}
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// tool runs one verb as a process and waits for its end.
func (s *site) tool(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience, s.logged())
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := s.command(ctx, stdin, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("tokenkeeper %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// logged returns what says how much the supervisors of the installation have
// logged, those that were started until now.
func (s *site) logged() func() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	logs := slices.Clone(s.logs)
	return func() any {
		var n int64
		for _, path := range logs {
			if info, err := os.Stat(path); err == nil {
				n += info.Size()
			}
		}
		return n
	}
}

// logIn gives the account a first token the way a user does who comes from
// another program: a login at the broker, and "tokenkeeper import".
func (s *site) logIn(t *testing.T, sim *brokersim.Server, account, layout string) {
	t.Helper()
	s.logInEarlier(t, sim, account, layout, 0)
}

// logInEarlier is logIn with a token file that is older, so that the account
// can be due at once at a broker whose tokens live long.
func (s *site) logInEarlier(t *testing.T, sim *brokersim.Server, account, layout string, by time.Duration) {
	t.Helper()
	g := sim.Grant(account)
	body := tokenFileOf(t, g, layout, g.IssuedAt.Add(-by))
	if got := s.tool(t, string(body), "import", account, "-"); got.code != exitOK {
		t.Fatalf("import %s: %+v", account, got)
	}
}

// processes lists the PIDs that belong to the installation, whoever their
// parent is: the supervisor by its configuration, a provider by its folder for
// temporary files.
func (s *site) processes(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, proc := range all {
		// A process that has ended meanwhile, or is a zombie, has none of these.
		command, _ := os.ReadFile(proc + "/cmdline")
		environ, _ := os.ReadFile(proc + "/environ")
		if strings.Contains(string(command)+string(environ), s.dir) {
			ours = append(ours, filepath.Base(proc))
		}
	}
	return ours
}

// awaitGone waits until no process of the installation is left.
func (s *site) awaitGone(t *testing.T) {
	t.Helper()
	waittest.Until(t, "the end of every process", func() bool { return len(s.processes(t)) == 0 })
}

// mustBeGone fails the test if a process of the installation is left.
func (s *site) mustBeGone(t *testing.T) {
	t.Helper()
	if left := s.processes(t); len(left) > 0 {
		t.Fatalf("there are processes left: %v", left)
	}
}

// running is one "tokenkeeper run".
type running struct {
	Client *control.Client
	PID    int

	t      *testing.T
	cmd    *exec.Cmd
	stderr string        // the path of what it logs, see logs; empty: another has it
	ended  chan struct{} // closed when err is set
	err    error
}

// startRun starts "tokenkeeper run" and returns when its control API is open.
// What it logs is shown if the test fails, and it is killed if the test leaves
// it running.
func startRun(t *testing.T, s *site, args ...string) *running {
	t.Helper()
	r := &running{
		t: t, Client: control.NewClient(s.path("state/control.sock")),
		cmd: s.command(context.Background(), "", append([]string{"run"}, args...)...), ended: make(chan struct{}),
	}
	r.logs()
	s.mu.Lock()
	s.logs = append(s.logs, r.stderr)
	s.mu.Unlock()
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.PID = r.cmd.Process.Pid
	go func() {
		defer close(r.ended)
		r.err = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		r.Client.Close()
		r.Kill()
		if strings.Contains(r.Stderr(), "DATA RACE") {
			t.Error("a data race")
		}
		if t.Failed() {
			t.Logf("standard error of process %d:\n%s", r.PID, r.Stderr())
		}
	})
	// The socket is open before this is logged.
	waittest.Until(t, "the start of tokenkeeper run", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("tokenkeeper run ended at once: %v", r.err)
		default:
		}
		return strings.Contains(r.Stderr(), "tokenkeeper starts")
	}, r.steps)
	return r
}

// steps changes whenever the process tells of something.
func (r *running) steps() any { return len(r.Stderr()) }

// logs gives the process a file as its standard error. Through a pipe a line
// would be seen some time after what it tells of.
func (r *running) logs() {
	r.t.Helper()
	f, err := os.Create(filepath.Join(r.t.TempDir(), "stderr"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = f.Close() })
	r.stderr, r.cmd.Stderr = f.Name(), f
}

// Stderr is what the process has written to standard error so far.
func (r *running) Stderr() string {
	b, _ := os.ReadFile(r.stderr) // nothing, if another started the process
	return string(b)
}

// Stop ends the process as a service manager does, and returns how many beats
// that took. It fails the test unless the process ends well.
func (r *running) Stop() (beats int) {
	r.t.Helper()
	passed := waittest.Beats(r.t)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatalf("SIGTERM: %v", err)
	}
	if err := r.Wait(); err != nil {
		r.t.Fatalf("after SIGTERM: %v", err)
	}
	return passed()
}

// Kill ends the process with SIGKILL. Its providers see to their own end.
func (r *running) Kill() {
	r.t.Helper()
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.Wait()
}

// Wait waits for the end of the process and returns what exec.Cmd.Wait does.
func (r *running) Wait() error {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.err
	case <-waittest.Late(r.t, r.steps):
		r.t.Fatalf("process %d did not end", r.PID)
		return nil
	}
}

// until waits until holds is true of the status, and returns that status. It
// looks at each event; and now and then without one, because not all that a
// status shows is told as an event.
func (r *running) until(holds func(control.Status) bool) control.Status {
	r.t.Helper()
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience, r.steps)
	defer cancel()
	events := make(chan struct{}, 1)
	wake := func() {
		select {
		case events <- struct{}{}:
		default:
		}
	}
	var follow sync.WaitGroup
	defer follow.Wait()
	defer cancel()
	follow.Go(func() {
		_ = r.Client.Events(ctx, wake, func(event.Event) error { wake(); return nil })
	})
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	var last control.Status
	for {
		select {
		case <-events:
		case <-look.C:
		case <-r.ended:
			r.t.Fatalf("tokenkeeper run ended: %v", r.err)
		case <-ctx.Done():
			r.t.Fatalf("it never came to that; the last status: %+v", last)
		}
		st, err := r.Client.Status(ctx)
		if err != nil {
			continue // ended or out of time: the next turn says which
		}
		if last = st; holds(st) {
			return st
		}
	}
}

// account returns one account of a status.
func account(st control.Status, name string) control.Account {
	for _, a := range st.Accounts {
		if a.Name == name {
			return a
		}
	}
	return control.Account{}
}

// provider returns one provider of a status.
func provider(st control.Status, name string) control.Provider {
	for _, p := range st.Providers {
		if p.Name == name {
			return p
		}
	}
	return control.Provider{}
}
