package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal of the width that everything fits.
type terminal struct {
	*os.File
	other *os.File
	shown *awaited
	over  chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(other.Fd())
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	n, errNumber := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil || errNumber != nil {
		t.Fatal(err, errNumber)
	}
	own, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{File: own, other: other, shown: newAwaited(), over: make(chan struct{})}
	p.resize(t, 24, narrow)
	go func() {
		defer close(p.over)
		_, _ = io.Copy(p.shown, other) // ends with EIO
	}()
	return p
}

// resize tells whoever runs in the terminal that it has another size now.
func (p *terminal) resize(t *testing.T, rows, columns int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.other.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
}

func (p *terminal) mode(t *testing.T) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.other.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *mode
}

// text ends the terminal and returns what it has shown.
func (p *terminal) text() string {
	_ = p.Close()
	<-p.over
	_ = p.other.Close()
	return strings.ReplaceAll(p.shown.String(), "\r\n", "\n")
}

// Nothing that a verb says to a person is wider than the terminal; elsewhere a
// message is one line. The words are the same.
func TestMessagesFitTheTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "state_dir: "+dir+"/state\naccounts:\n  main: {provider: schwab, client_id: id, client_secret: a-secret, redirect_url: \"https://127.0.0.1:8182\"}\n")
	bad := write("bad.yaml", "state_dir: "+dir+"/state\naccounts:\n  main: {provider: schwab, client_id: id, client_secret: \"${env:TK_NOT_SET}\", redirect_url: \"https://127.0.0.1:8182\", refersh: {}}\n"+
		"sinks:\n  bot: {type: unixsocket, accounts: [mian], path: /run/bot/token.sock, inclde_refresh_token: true}\n")
	missing := filepath.Join(dir, "missing.yaml")
	commands := [][]string{{"check", "-c", bad}, {"run", "extra", "argument", "-c", bad}, {"no-such-verb"}, {"import", "main", "-", "--login-time", "today", "-c", good}}
	for _, verb := range verbs(t) {
		if len(verb) > 0 && verb[0] == "init" {
			continue // it would write the file
		}
		commands = append(commands, append(verb, "main", "other", "--no-such-flag"), append(verb, "main", "-c", missing))
	}
	broken := 0
	for _, args := range commands {
		t.Run(strings.ReplaceAll(strings.Join(args, " "), dir, ""), func(t *testing.T) {
			p := newTerminal(t)
			run(t.Context(), args, strings.NewReader(""), p.File, p.File)
			got := p.text()
			fitsColumns(t, got)
			var piped bytes.Buffer
			run(t.Context(), args, strings.NewReader(""), &piped, &piped)
			if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(piped.String()), " ") {
				t.Errorf("the terminal shows\n%s\na pipe gets\n%s", got, piped.String())
			}
			if strings.Count(got, "\n") > strings.Count(piped.String(), "\n") {
				broken++
			}
		})
	}
	if broken == 0 {
		t.Error("no message had to be broken: this test proves nothing")
	}
}
