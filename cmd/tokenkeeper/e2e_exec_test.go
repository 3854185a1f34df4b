package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A program runs with the newest token, gets the next one as it was asked for, and ends as
// by itself: with its exit code, and by the signals that are sent to the command.
func TestExecRunsAProgramWithItsToken(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, "sh", "cat")
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "saxo").State == control.ProviderRunning })
	token := func() string {
		now, _ := saxo.Current(saxoAccount)
		return now.AccessToken
	}
	run := func(args ...string) *exec.Cmd {
		return exec.Command(s.program, append([]string{"exec", "-c", s.config}, args...)...)
	}

	for _, tt := range []struct {
		args   []string
		code   int
		prints string
	}{
		{[]string{"-a", saxoAccount, "--", "sh", "-c", `printf %s "$TOKENKEEPER_ACCESS_TOKEN"; exit 7`}, 7, token()},
		{[]string{"-a", saxoAccount + "=SAXO", "sh", "-c", `printf %s "$SAXO$TOKENKEEPER_ACCESS_TOKEN"`}, 0, token()},
		{[]string{"-a", saxoAccount, "--fd", "--", "sh", "-c", `cat "$TOKENKEEPER_ACCESS_TOKEN_FILE"; printf %s "$TOKENKEEPER_ACCESS_TOKEN"`}, 0, token() + "\n"},
		{[]string{"-a", saxoAccount, "--", "sh", "-c", `kill -KILL $$`}, 128 + 9, ""},
		{[]string{"-a", saxoAccount, "--", "/nonexistent/bot"}, exitNotFound, ""},
		{[]string{"-a", saxoAccount, "--", s.dir}, exitCantRun, ""},
		{[]string{"-a", saxoAccount, "--min-valid", "2h", "--", "true"}, exitFailure, ""},
	} {
		cmd := run(tt.args...)
		out, _ := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || string(out) != tt.prints {
			t.Errorf("%v: exit code %d, want %d; it prints %d bytes, want %d", tt.args, code, tt.code, len(out), len(tt.prints))
		}
	}

	for _, tt := range []struct {
		name string
		args []string
		by   syscall.Signal
		code int
	}{
		{"restart", []string{"--on-new", "restart", "--", "sh", "-c", `echo "$TOKENKEEPER_ACCESS_TOKEN"; exec sleep 1000`}, syscall.SIGTERM, 128 + 15},
		{"a program that does not end", []string{"--on-new", "restart", "--stop-within", "100ms", "--", "sh", "-c", `trap "" TERM; echo "$TOKENKEEPER_ACCESS_TOKEN"; while :; do sleep 0.1; done`}, syscall.SIGUSR1, 128 + 10},
		{"signal", []string{"--fd", "--on-new", "signal=USR1", "--", "sh", "-c", `f=$TOKENKEEPER_ACCESS_TOKEN_FILE; trap 'cat $f' USR1; trap 'exit 5' INT; cat $f; while :; do sleep 0.1; done`}, syscall.SIGINT, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := token()
			cmd := run(append([]string{"-a", saxoAccount}, tt.args...)...)
			out := begin(t, cmd)
			out.until(t, func(text string) bool { return strings.Contains(text, before) })
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Fatal(err)
			}
			out.until(t, func(text string) bool { return strings.Contains(text, token()) })
			if err := cmd.Process.Signal(tt.by); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
	r.Stop()
}

// Of a signal from the terminal the program has its own. One that was sent to the command
// alone is handed on, also on a terminal.
func TestExecOnATerminal(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, "sh", "cat")
	socket, _, _ := serve(t, &fake{usable: func(account string) (control.TokenAnswer, error) {
		return control.TokenAnswer{Account: account, Version: 1, AccessToken: "token"}, nil
	}})
	p := newTerminal(t)
	cmd := exec.Command(buildProgram(t), "exec", "--socket", socket, "-a", "main", "--", "sh", "-c",
		`n=0; trap 'n=$((n+1)); echo got $n' INT; trap 'echo all $n; exit 5' TERM; echo ready; while :; do read line; done`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.File, p.File, p.File
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		p.shown.until(t, func(text string) bool { return strings.Contains(text, want) })
	}
	press := func(key string) {
		t.Helper()
		if _, err := p.other.WriteString(key); err != nil {
			t.Fatal(err)
		}
	}
	says("ready")
	for n := range 3 { // each comes once
		was := slices.Sorted(slices.Values(childrenOf(t, cmd.Process.Pid)))
		press("\x03")
		says(fmt.Sprint("got ", 2*n+1))
		// The next one would be one with this while it has not been seen to.
		waittest.Until(t, "another witness", func() bool {
			are := slices.Sorted(slices.Values(childrenOf(t, cmd.Process.Pid)))
			return len(are) == 2 && !slices.Equal(are, was)
		})
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		says(fmt.Sprint("got ", 2*n+2))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	says("all 6")
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
}
