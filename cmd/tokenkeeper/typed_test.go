package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// A token file that is pasted into a terminal is not shown, and is taken whole or not at
// all.
func TestImportFromATerminal(t *testing.T) {
	f := &fake{}
	socket, _, _ := serve(t, f)
	const file = "{\n\"refresh_token\": \"secret\"\n}\n"
	long := "{\n" + strings.Repeat("secret", 1000) + "\n}\n"
	for name, tt := range map[string]struct {
		typed          string
		code           int
		imported, says string
	}{
		"a file":         {file, exitOK, file, "main: imported as v1"},
		"a longer line":  {long, exitFailure, "", "a terminal takes 4095 characters in a line, and has cut what was pasted: nothing was changed. Put it into a file, and name that"},
		"nothing at all": {"", exitFailure, "", "no token file was pasted: nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTerminal(t)
			before := p.mode(t)
			f.imported = nil
			e := newEnv(p.File, p.File, p.File)
			e.now, e.getenv = func() time.Time { return now }, func(string) string { return "" }
			ended := make(chan int, 1)
			go func() { ended <- e.execute(t.Context(), []string{"import", "main", "-", "--socket", socket}) }()
			waittest.Until(t, "it asks", func() bool { return p.mode(t).Lflag&unix.ECHO == 0 })
			const ctrlD = "\x04"
			if _, err := p.other.WriteString(tt.typed + ctrlD); err != nil {
				t.Fatal(err)
			}
			code := waittest.Receive(t, "its end", ended)
			after, text := p.mode(t), p.text()
			if code != tt.code || string(f.imported) != tt.imported || !strings.Contains(inOneLine(text), tt.says) || !strings.HasPrefix(text, "Paste the token file") {
				t.Errorf("exit code %d, imported %d characters, want %d and %d:\n%s", code, len(f.imported), tt.code, len(tt.imported), text)
			}
			if after != before {
				t.Errorf("the terminal had the mode %+v, and was left with %+v", before, after)
			}
			if strings.Contains(text, "secret") {
				t.Errorf("what was pasted is shown:\n%s", text)
			}
			fitsColumns(t, text)
		})
	}
}

// Who ends it by Ctrl-C, while what he types is not shown, has his echo back, and is told
// how it stands.
func TestCtrlCGivesTheEchoBack(t *testing.T) {
	t.Parallel()
	socket, _, _ := serve(t, &fake{})
	program := buildProgram(t)
	for says, args := range map[string][]string{
		"no token was pasted: nothing was changed, and the login stays open until": {"login", "main", "--shape=paste_token"},
		"no token file was pasted: nothing was changed":                            {"import", "main", "-"},
	} {
		p := newTerminal(t)
		before := p.mode(t)
		cmd := exec.CommandContext(t.Context(), program, append(args, "--socket", socket)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = p.File, p.File, p.File
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waittest.Until(t, "it asks", func() bool { return p.mode(t).Lflag&unix.ECHO == 0 })
		if _, err := p.other.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		after, text := p.mode(t), inOneLine(p.text())
		if after != before {
			t.Errorf("%v: the terminal had the mode %+v, and was left with %+v", args, before, after)
		}
		if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(text, says) || strings.Contains(text, "context canceled") {
			t.Errorf("%v: exit code %d:\n%s", args, code, text)
		}
	}
}
