package command_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

func encode(d format.Document) ([]byte, error) {
	return format.Encode(format.JSON, d, format.Options{})
}

// program is a shell script.
type program struct{ dir string }

func (p program) path() string { return filepath.Join(p.dir, "hook.sh") }

func (p program) is(script string) func(*testing.T) {
	return func(t *testing.T) {
		if err := os.WriteFile(p.path(), []byte("cd "+p.dir+"\n"+script+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newSink(t *testing.T, p program, timeout time.Duration) *command.Sink {
	t.Helper()
	s, err := command.New(command.Config{Command: []string{"sh", p.path()}, Encode: encode, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p program) lines(t *testing.T, name string) []string {
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

const takes = `tr -d '\n' >in.$$ && { cat in.$$; echo; } >line.$$ && cat line.$$ >>received`

const noHTTP = "it speaks no HTTP"

func TestContract(t *testing.T) {
	const timeout = 5 * time.Second // a busy machine takes two for a shell
	sinktest.Run(t, sinktest.Suite{New: func(t *testing.T) sinktest.Destination {
		p := program{t.TempDir()}
		return sinktest.Destination{
			Sink:     newSink(t, p, timeout),
			Appear:   p.is(takes),
			Received: func(t *testing.T) []string { return p.lines(t, "received") },
			Hang:     p.is("sleep 100 & wait"),
			Mend:     p.is(takes),
			Timeout:  timeout,
			Faults: map[string]sinktest.Fault{
				"exit code":              {Case: sinktest.WrongAck, Set: p.is("exit 3")},
				"does not read, fails":   {Set: p.is("exec <&-; exit 1")},
				"prints the token":       {Set: p.is("cat >&2; exit 1")},
				"prints without end":     {Set: p.is("yes CANARY >&2")},
				"kills itself":           {Case: sinktest.ResetInAnswer, Set: p.is("kill -KILL $$")},
				"fails, child stays on":  {Set: p.is("sleep 100 & exit 1")},
				"reads and never ends":   {Case: sinktest.NoAck, Set: p.is("cat >/dev/null; sleep 100 & wait")},
				"nowhere to write it":    {Case: sinktest.FullDisk, Set: p.is("cat >/dev/full")},
				"a shell, byte for byte": {Case: sinktest.SlowReader, Harmless: true, Set: p.is("while IFS= read -r l; do printf %s \"$l\"; done >in && cat in >>received && echo >>received")},
			},
		}
	}, Never: map[sinktest.Case]string{
		sinktest.HTTPRedirect: noHTTP, sinktest.HTTPClientError: noHTTP, sinktest.HTTPServerError: noHTTP,
		sinktest.LateAnswer: "at the deadline it is killed, and its exit code is not looked at any more",
	}})
}

func TestProgramThatIsMissing(t *testing.T) {
	for path, want := range map[string]string{"/nonexistent/hook": "install it", "no-such-program-at-all": "install it", "/dev/null": "execute it"} {
		s, err := command.New(command.Config{Command: []string{path}, Encode: encode})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The token is in the input, and nowhere that others can see it.
func TestInputAndEnvironment(t *testing.T) {
	t.Setenv("BROKER_SECRET", "CANARY")
	p := program{t.TempDir()}
	p.is("cat >input; env >env; tr '\\0' ' ' </proc/$$/cmdline >argv")(t)
	d := sinktest.Full("acct", 7)
	if err := newSink(t, p, 0).Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var m struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(strings.Join(p.lines(t, "input"), "\n")), &m); err != nil || m.AccessToken != d.Document.AccessToken.Reveal() {
		t.Errorf("the input is %+v, %v", m, err)
	}
	env := strings.Join(append(p.lines(t, "env"), p.lines(t, "argv")...), "\n")
	for _, want := range []string{"TOKENKEEPER_EVENT=token", "TOKENKEEPER_ACCOUNT=acct", "TOKENKEEPER_PROVIDER=broker", "TOKENKEEPER_VERSION=7", "TOKENKEEPER_DELIVERY=" + d.ID, "PATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("no %s in %s", want, env)
		}
	}
	if strings.Contains(env, "CANARY") {
		t.Errorf("a secret in %s", env)
	}
}

// What the program is run for is in its environment, and the rest in its input.
func TestNoticesAndTests(t *testing.T) {
	p := program{t.TempDir()}
	p.is("cat >input; env >env")(t)
	s := newSink(t, p, 0)
	marked := sinktest.Alert("acct", 3)
	marked.Test = true
	for name, c := range map[string]struct {
		run  func() error
		env  []string
		want string
	}{
		"an alert": {func() error { return s.Notify(t.Context(), sinktest.Alert("acct", 1)) },
			[]string{"EVENT=alert", "ACCOUNT=acct", "PROVIDER=broker", "TYPE=needs_login", "DELIVERY=" + sinktest.Alert("acct", 1).ID},
			`{"kind":"alert","id":"` + sinktest.Alert("acct", 1).ID + `","alert":{"key":"needs_login:acct",`},
		"an event": {func() error { return s.Notify(t.Context(), sinktest.Lifecycle("acct", 2)) },
			[]string{"EVENT=lifecycle", "ACCOUNT=acct", "TYPE=refreshed"},
			`{"kind":"lifecycle","id":"` + sinktest.Lifecycle("acct", 2).ID + `","event":{"seq":2,`},
		"a marked alert": {func() error { return s.Notify(t.Context(), marked) },
			[]string{"EVENT=alert"}, `{"kind":"alert","id":"` + marked.ID + `","test":true,"alert":{`},
		"a test": {func() error { _, err := s.Test(t.Context(), sinktest.Full("acct", 4)); return err },
			[]string{"EVENT=test", "ACCOUNT=acct", "PROVIDER=broker", "VERSION=4", "DELIVERY=test-" + sinktest.Full("acct", 4).ID}, `{"test": true, `},
	} {
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := strings.Join(p.lines(t, "input"), "\n")
		if !strings.HasPrefix(got, c.want) || strings.Contains(got, "CANARY") != (name == "a test") {
			t.Errorf("%s: the input is %s, want %s", name, got, c.want)
		}
		env := p.lines(t, "env")
		for _, want := range c.env {
			if !slices.Contains(env, "TOKENKEEPER_"+want) {
				t.Errorf("%s: no %s in %v", name, want, env)
			}
		}
		if strings.Contains(strings.Join(env, "\n"), "CANARY") {
			t.Errorf("%s: a secret in %v", name, env)
		}
	}
}

// A test is all that a delivery is, and marked where the format can hold a mark: a
// program that reads it as a delivery finds the newest token.
func TestATestIsComplete(t *testing.T) {
	d := sinktest.Full("acct", 4)
	for _, name := range append(format.Names(), format.OneWay()...) {
		p := program{t.TempDir()}
		p.is("cat >input")(t)
		s, err := command.New(command.Config{Command: []string{"sh", p.path()}, Encode: func(d format.Document) ([]byte, error) {
			return format.Encode(name, d, format.Options{})
		}})
		if err != nil {
			t.Fatal(err)
		}
		given := map[string]string{}
		for what, run := range map[string]func() error{
			"delivery": func() error { return s.Deliver(t.Context(), d) },
			"test":     func() error { _, err := s.Test(t.Context(), d); return err },
		} {
			if err := run(); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			b, err := os.ReadFile(filepath.Join(p.dir, "input"))
			if err != nil {
				t.Fatal(err)
			}
			given[what] = string(b)
		}
		var delivered, tested map[string]any
		if json.Unmarshal([]byte(given["delivery"]), &delivered) != nil {
			if given["test"] != given["delivery"] {
				t.Errorf("%s: a test is %q, and a delivery %q", name, given["test"], given["delivery"])
			}
			continue
		}
		if err := json.Unmarshal([]byte(given["test"]), &tested); err != nil || tested["test"] != true {
			t.Errorf("%s: it is not marked: %q, %v", name, given["test"], err)
		}
		delete(tested, "test")
		if !reflect.DeepEqual(tested, delivered) {
			t.Errorf("%s: a test is %q, and a delivery %q", name, given["test"], given["delivery"])
		}
	}
}

func TestSuccessOfAProgramThatDoesNotRead(t *testing.T) {
	p := program{t.TempDir()}
	for _, script := range []string{"exit 0", "exec <&-; exit 0", "sleep 100 & echo $! >child; exit 0"} {
		p.is(script)(t)
		s, err := command.New(command.Config{Command: []string{"sh", p.path()}, Encode: func(format.Document) ([]byte, error) {
			return make([]byte, 1<<20), nil // more than a pipe holds
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	child := pidIn(t, p, "child")
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Errorf("what a program that succeeded left running: %v", err)
	}
}

func pidIn(t *testing.T, p program, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.Join(p.lines(t, name), ""))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestWholeGroupIsKilled(t *testing.T) {
	p := program{t.TempDir()}
	p.is("sh -c 'echo $$ >child; trap \"\" TERM HUP; while :; do sleep 1; done' & wait")(t)
	late := waittest.Late(t)
	for timeout := 500 * time.Millisecond; len(p.lines(t, "child")) == 0; timeout *= 2 { // until it came to its grandchild
		err := newSink(t, p, timeout).Deliver(t.Context(), sinktest.Bare("a", 1))
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("got %v", err)
		}
		select {
		case <-late:
			t.Fatalf("it starts nothing in %s", timeout)
		default:
		}
	}
	child := pidIn(t, p, "child")
	waittest.Within(t, waittest.Patience, "the end of a grandchild", func() bool { return !running(child) })
}

// running says whether the process is there and no zombie.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestNewChecks(t *testing.T) {
	for name, cfg := range map[string]command.Config{"no command": {Encode: encode}, "empty": {Command: []string{""}, Encode: encode}, "no format": {Command: []string{"true"}}} {
		if _, err := command.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, cfg := range map[string]command.SignalConfig{"no pidfile": {Signal: "HUP"}, "unknown": {PIDFile: "/x", Signal: "KILL"}} {
		if _, err := command.NewSignaller(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A program that somebody else could have put there gets no token.
func TestProgramThatEverybodyMayChange(t *testing.T) {
	for name, by := range map[string][]string{"by itself": nil, "by an interpreter": {"sh", "-e"}} {
		t.Run(name, func(t *testing.T) { testProgramThatEverybodyMayChange(t, by) })
	}
}

func testProgramThatEverybodyMayChange(t *testing.T, by []string) {
	path := filepath.Join(t.TempDir(), "hook")
	ran := path + ".ran"
	if err := filestest.WriteProgram(path, []byte("#!/bin/sh\ncat >"+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := command.New(command.Config{Command: append(by, path), Encode: encode})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(ran), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	err = s.Deliver(t.Context(), sinktest.Bare("a", 2))
	if err == nil || !strings.Contains(err.Error(), "can be changed by everybody") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it was run")
	}
}
