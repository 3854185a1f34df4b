package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// longestTyped is how long a line can be that a terminal hands on; of a longer one it
// drops the rest without a word (termios(3), "Canonical and noncanonical mode").
const longestTyped = 4095

// errCut is that a terminal may have done so.
var errCut = fmt.Errorf("a terminal takes %d characters in a line, and has cut what was pasted", longestTyped)

// wasCut says whether a terminal may have cut a line of what was typed.
func wasCut(typed string) bool {
	for line := range strings.Lines(typed) {
		if len(strings.TrimRight(line, "\r\n")) >= longestTyped {
			return true
		}
	}
	return false
}

// hidden is what read takes from a terminal that does not show it. After Ctrl-C nothing
// has come, and the shell has its echo back; read is left behind then.
func hidden(ctx context.Context, terminal *os.File, read func(io.Reader) ([]byte, error)) (string, error) {
	ctx, stop := untilEnded(ctx)
	defer stop()
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("read the terminal's mode: %w", err)
	}
	now := *before
	now.Lflag &^= unix.ECHO
	now.Lflag |= unix.ICANON | unix.ISIG
	now.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return "", fmt.Errorf("set the terminal's mode: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }()
	type outcome struct {
		text []byte
		err  error
	}
	over := make(chan outcome, 1)
	go func() {
		text, err := read(terminal)
		over <- outcome{text, err}
	}()
	select {
	case o := <-over:
		return string(o.text), o.err
	case <-ctx.Done():
		return "", io.EOF
	}
}
