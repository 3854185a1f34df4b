package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// unbroken is the width of text that nobody breaks: a message is one line, for
// programs that read lines.
const unbroken = 0

// widthOf is how wide prose may be on w: as on the terminal that it is, or else
// [unbroken].
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return unbroken
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return unbroken
	}
	return max(narrow, min(width, textWidth))
}

// breakProse breaks the lines of text that are wider than width between words;
// what follows stands a little deeper than the line's own beginning. A word that
// is wider stays whole, so that an address or a path can be copied.
func breakProse(text string, width int) string {
	if width == unbroken {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.TrimRight(line, "\n")) <= width {
			b.WriteString(line)
			continue
		}
		lead := line[:len(line)-len(strings.TrimLeft(line, " "))]
		writeBroken(&b, painter{}, cell{line, plain}, lead, lead+"  ", width)
	}
	if !strings.HasSuffix(text, "\n") {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
}

// prose writes a line of text, or more, for a person to w.
func prose(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintln(w, breakProse(fmt.Sprintf(format, args...), widthOf(w)))
	return err
}
