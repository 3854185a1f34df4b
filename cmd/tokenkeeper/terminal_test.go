package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// pictures are those that were drawn whole, one after the other, as they were written.
func pictures(text string) []string {
	var whole []string
	all := strings.Split(text, home)
	for _, p := range all[1:] {
		if drawn, _, ended := strings.Cut(p, eraseBelow); ended {
			whole = append(whole, strings.ReplaceAll(drawn, "\r", ""))
		}
	}
	return whole
}

// shows is what a terminal of that size shows of a picture, and by how many lines that
// would have scrolled it.
func shows(picture string, rows, columns int) (lines []string, scrolled int) {
	for line := range strings.SplitSeq(picture, nextLine) {
		bare := unpainted(line)
		for n := utf8.RuneCountInString(bare); n > columns; n -= columns { // it goes on in the next line
			cut := len(string([]rune(bare)[:columns]))
			lines, bare = append(lines, bare[:cut]), bare[cut:]
		}
		lines = append(lines, bare)
	}
	scrolled = max(len(lines)-rows, 0)
	return lines[scrolled:], scrolled
}

// unpainted is a line without its colours.
func unpainted(line string) string {
	before, rest, painted := strings.Cut(line, "\x1b[")
	if !painted {
		return line
	}
	_, after, _ := strings.Cut(rest, "m")
	return before + unpainted(after)
}

// A picture fits the terminal, whatever is on it: nothing scrolls, and what is cut shows
// that it is.
func TestPictureFitsTheTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, size := range []struct{ rows, columns int }{{24, 80}, {40, 120}, {5, 20}} {
		p := newTerminal(t)
		p.resize(t, size.rows, size.columns)
		e := newEnv(strings.NewReader(""), p.File, p.File)
		line := e.painter().paint(red, strings.Repeat("é", size.columns+1)) + "\n"
		exact := strings.Repeat("x", size.columns) + "\n"
		if err := e.draw(exact + strings.Repeat(line, size.rows)); err != nil {
			t.Fatal(err)
		}
		got := pictures(p.text())
		if len(got) != 1 {
			t.Fatalf("%d pictures", len(got))
		}
		lines, scrolled := shows(got[0], size.rows, size.columns)
		if scrolled > 0 || len(lines) != size.rows || lines[0] != strings.TrimSpace(exact) || lines[1] != strings.Repeat("é", size.columns-1)+"…" ||
			!strings.HasPrefix(lines[size.rows-2], "… ") || lines[size.rows-1] != "" {
			t.Errorf("%v: scrolled by %d:\n%s", size, scrolled, strings.Join(lines, "\n"))
		}
	}
}

func TestShortened(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "12345": "12345", "123456": "1234…", "\x1b[31m123456\x1b[0m": "\x1b[31m1234\x1b[0m…", "\x1b[31m12345\x1b[0m": "\x1b[31m12345\x1b[0m",
	} {
		if got := shortened(line, 5); got != want {
			t.Errorf("shortened(%q) = %q, want %q", line, got, want)
		}
	}
	if got := shortened("123456", 0); got != "123456" {
		t.Errorf("of unknown width: %q", got)
	}
}

// status --watch draws on a screen of its own, and leaves what was seen last.
func TestWatchOnATerminal(t *testing.T) {
	c := &changing{s: sampleStatus()}
	socket, _, _ := serve(t, &fake{status: c.status})
	t.Setenv("TERM", "xterm")
	p := newTerminal(t)
	e := newEnv(strings.NewReader(""), p.File, p.File)
	e.watchEvery = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- e.execute(ctx, []string{"status", "--watch", "--socket", socket}) }()
	p.shown.until(t, func(text string) bool { return len(pictures(text)) > 1 })
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := p.text()
	all := pictures(text)
	for _, picture := range all {
		lines, scrolled := shows(picture, 24, narrow)
		if scrolled > 0 || !strings.HasPrefix(lines[0], "tokenkeeper 1.0.0") {
			t.Errorf("scrolled by %d:\n%s", scrolled, strings.Join(lines, "\n"))
		}
	}
	_, left, _ := strings.Cut(text, leaveScreen)
	if !strings.HasPrefix(text, enterScreen) || strings.Count(text, leaveScreen) != 1 || !strings.Contains(left, "schwab-main") {
		t.Errorf("it was left with %q", left)
	}
}

// By Ctrl-Z and Ctrl-\ too, a person has the terminal back as it was, and the picture once
// it is continued.
func TestWatchGivesTheTerminalBack(t *testing.T) {
	t.Parallel()
	socket, _, _ := serve(t, &fake{status: sampleStatus})
	p := newTerminal(t)
	// A shell with job control, as a person has it.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `set -m; "$0" status --watch --socket "$1"; echo "stopped: $?"; fg; echo "ended: $?"`, buildProgram(t), socket)
	cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.File, p.File, p.File
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	press := func(key, after string) {
		t.Helper()
		p.shown.until(t, func(text string) bool {
			_, shown, found := strings.Cut(text, after)
			return found && len(pictures(shown)) > 0
		})
		if _, err := p.other.WriteString(key); err != nil {
			t.Fatal(err)
		}
	}
	stopped := fmt.Sprintf("stopped: %d", 128+unix.SIGSTOP)
	press("\x1a", enterScreen)
	press("\x1c", stopped+"\r\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	text := p.text()
	visit := regexp.QuoteMeta(enterScreen) + ".*" + regexp.QuoteMeta(leaveScreen)
	if !regexp.MustCompile("(?s)^"+visit+".*"+stopped+"\n.*"+visit+".*schwab-main.*ended: 0\n$").MatchString(text) || strings.Count(text, enterScreen) != 2 || strings.Count(text, leaveScreen) != 2 {
		t.Errorf("it showed %q", text)
	}
}

// The picture of the demo keeps its head and its keys, whatever the height.
func TestDemoPicture(t *testing.T) {
	head := []string{"tokenkeeper", "", "ACCOUNT", "a", "b", "", "SINK", "1", "2", "3", "4", "5", "6", "", "PROVIDER", "p", "q"}
	events := []string{"e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"}
	for height, want := range map[int]struct {
		events int
		hint   bool
		more   bool
	}{0: {8, true, false}, 80: {8, true, false}, 40: {8, true, false}, 24: {5, false, false}, 20: {1, false, false}, 10: {0, false, true}, 4: {0, false, true}} {
		picture := demoPicture(height, head, "NEWEST", events, "keys", []string{"hint", "more of it"}, "note")
		lines := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
		if height > 0 && len(lines) > height-1 {
			t.Errorf("%d lines of %d", len(lines), height)
		}
		shown := strings.Count(picture, "\ne")
		if lines[0] != "tokenkeeper" && !want.more || lines[len(lines)-1] != "note" || !strings.Contains(picture, "keys\n") ||
			shown != want.events || strings.Contains(picture, "more of it") != want.hint || strings.Contains(picture, " more lines") != want.more {
			t.Errorf("height %d, %d events:\n%s", height, shown, picture)
		}
		if want.events > 0 && !strings.Contains(picture, "e8\n") {
			t.Errorf("height %d: the newest event is missing:\n%s", height, picture)
		}
	}
}

// Whoever is early with q is told so with an exit code; Ctrl-C breaks off, and is no
// failure; the time that was asked for judges; a token that was used twice is always one.
func TestDemoVerdict(t *testing.T) {
	early, late := sampleStatus(), sampleStatus()
	early.Accounts, late.Accounts = early.Accounts[1:2], late.Accounts[1:2] // v12, with v11 and v12 delivered
	early.Accounts[0].Version = 1
	for name, tt := range map[string]struct {
		early bool
		end   demoEnd
		code  int
		want  string
	}{
		"in time, by q":      {false, demoQuit, exitOK, "Every account was refreshed"},
		"in time, by Ctrl-C": {false, demoInterrupted, exitOK, "Every account was refreshed"},
		"early, by q":        {true, demoQuit, exitFailure, "not yet: account schwab-main was not refreshed"},
		"early, by Ctrl-C":   {true, demoInterrupted, exitOK, "It was ended before everything was refreshed"},
		"when time is up":    {true, demoOver, exitFailure, "PROBLEM: account schwab-main was not refreshed"},
	} {
		t.Run(name, func(t *testing.T) {
			st := late
			if tt.early {
				st = early
			}
			var out strings.Builder
			e := newEnv(strings.NewReader(""), &out, &out)
			err := demonstration{e}.demoVerdict(&demoWorld{bot: &demoBot{}, hook: &demoHook{}}, st, tt.end)
			code := exitOK
			if exit := (*exitError)(nil); errors.As(err, &exit) {
				code = exit.code
			}
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit code %d, want %d and %q in:\n%s", code, tt.code, tt.want, out.String())
			}
		})
	}
}

// TestDemoOnATerminal: a person sees a sign of life first and then a picture that fits,
// also after a change of the size, and ends it in order by either key.
func TestDemoOnATerminal(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for name, key := range map[string]string{"Ctrl-C": "\x03", "q": "q", "q, after keys that would stop and kill it": "\x1a\x1cq"} {
		t.Run(name, func(t *testing.T) {
			p := newTerminal(t)
			before := p.mode(t)
			cmd := exec.CommandContext(t.Context(), program, "demo")
			cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = p.File, p.File, p.File
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			holds := func(rows, columns int, want string) {
				t.Helper()
				p.shown.until(t, func(text string) bool {
					all := pictures(text)
					if len(all) == 0 {
						return false
					}
					lines, scrolled := shows(all[len(all)-1], rows, columns)
					return scrolled == 0 && strings.HasPrefix(lines[0], "tokenkeeper ") && strings.Contains(inOneLine(strings.Join(lines, "\n")), want)
				})
			}
			holds(24, narrow, "[q] quit")
			p.resize(t, 40, 120)
			holds(40, 120, "from another terminal: "+program+" restart schwab --socket /")
			if name == "Ctrl-C" { // both show the same until here
				p.resize(t, 24, narrow)
				holds(24, narrow, "NEWEST EVENTS")
			}
			// Nobody could continue it here, and so Ctrl-Z would do nothing anyway.
			if keys := p.mode(t).Cc; keys[unix.VSUSP] != 0 || keys[unix.VQUIT] != 0 {
				t.Error("Ctrl-Z or Ctrl-\\ is a signal")
			}
			if _, err := p.other.WriteString(key); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-waittest.Late(t):
				t.Fatalf("it does not end; it has shown\n%q", p.shown.String())
			}
			if left := p.mode(t); left != before {
				t.Errorf("the terminal had the mode %+v, and was left with %+v", before, left)
			}
			text := p.text()
			begun, _, _ := strings.Cut(text, enterScreen)
			_, after, _ := strings.Cut(text, leaveScreen)
			if !strings.HasPrefix(begun, "Starting two simulated brokers") {
				t.Errorf("it began with %q", begun)
			}
			code, early := cmd.ProcessState.ExitCode(), strings.Contains(inOneLine(after), "It was ended before everything was refreshed and delivered")
			if early == strings.Contains(after, "Every account was refreshed") || strings.Contains(after, "no supervisor") || strings.Contains(after, "exit status") {
				t.Errorf("it ended with %q", after)
			}
			if want := early && name != "Ctrl-C"; (code == exitFailure) != want || code != exitOK && code != exitFailure {
				t.Errorf("exit code %s after %q", strconv.Itoa(code), after)
			}
		})
	}
}
