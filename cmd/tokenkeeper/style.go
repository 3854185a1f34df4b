package main

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// style is how a piece of text looks on a terminal: an SGR sequence's
// parameters (ECMA-48, section 8.3.117). The zero style is plain.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// painter colours text, or leaves it alone.
type painter struct{ on bool }

func (p painter) paint(s style, text string) string {
	if !p.on || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// clip cuts a line of painted text after n characters, and ends its colour.
func clip(line string, n int) string {
	painted := false
	for i, escaped := 0, false; i < len(line); {
		r, size := utf8.DecodeRuneInString(line[i:])
		switch {
		case r == '\x1b':
			escaped, painted = true, true
		case escaped:
			escaped = r != 'm'
		case n == 0 && painted:
			return line[:i] + "\x1b[0m"
		case n == 0:
			return line[:i]
		default:
			n--
		}
		i += size
	}
	return line
}

// shortened is a line of painted text, of which what is behind n characters is cut with
// an ellipsis; n 0: nothing is.
func shortened(line string, n int) string {
	if n <= 0 || clip(line, n) == line {
		return line
	}
	return clip(line, n-1) + "…"
}

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// painter colours on a terminal, unless the user asked for none
// (https://no-color.org).
func (e *streams) painter() painter {
	return painter{on: isTerminal(e.stdout) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"}
}

// tableWidth is how wide a table may be on stdout: as the terminal that it is, but at
// least [narrow]; elsewhere [whole].
func (e *streams) tableWidth() int {
	if width, _ := e.size(); width > 0 {
		return max(width, narrow)
	}
	return whole
}

// size of the terminal in columns and lines; 0: not known, or it is none.
func (e *streams) size() (width, height int) {
	if f, ok := e.stdout.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return width, height
		}
	}
	return 0, 0
}
