package sharedfiletest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// environment tells a test binary that it is a bot.
const environment = "SHAREDFILETEST_BOT"

// longest is more than any test takes.
const longest = time.Hour

// Main runs the bot and ends the process, if this process was started as one.
// TestMain calls it first.
func Main() {
	raw, ok := os.LookupEnv(environment)
	if !ok {
		return
	}
	var b Bot
	err := json.Unmarshal([]byte(raw), &b)
	if err == nil {
		// A bot that hangs must not outlive its test for ever. Without any
		// timer the runtime would also take it for a deadlock and end it.
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		err = b.Run(ctx, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bot:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a bot that runs.
type Process struct {
	cmd    *exec.Cmd
	lines  *bufio.Reader
	stderr bytes.Buffer
}

// Start starts b as a process of its own: this test binary again, whose
// TestMain calls [Main]. It is killed at the test's end.
func Start(t testing.TB, b Bot) *Process {
	t.Helper()
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), environment+"="+string(raw))
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// PID of the bot.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Locked waits until a bot that hangs holds the lock.
func (p *Process) Locked(t testing.TB) {
	t.Helper()
	if line, err := p.lines.ReadString('\n'); line != "locked\n" {
		t.Fatalf("the bot said %q, %v", line, err)
	}
}

// Kill ends the bot with SIGKILL and waits until it has gone. More than once
// is harmless.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Wait reads what the bot did until it ends. The error holds what it said.
func (p *Process) Wait() ([]Refresh, error) {
	var all []Refresh
	dec := json.NewDecoder(p.lines)
	for {
		var r Refresh
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			_ = p.cmd.Wait()
			return all, fmt.Errorf("read what the bot says: %w: %s", err, &p.stderr)
		}
		all = append(all, r)
	}
	if err := p.cmd.Wait(); err != nil {
		return all, fmt.Errorf("%w: %s", err, &p.stderr)
	}
	return all, nil
}
