package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// Terminal control (ECMA-48; DECTCEM for the cursor, and xterm's alternate screen).
// A line is erased before it is written: behind one that is as wide as the terminal
// the cursor stands on its last character.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H\x1b[K"
	nextLine    = "\n\x1b[K"
	eraseBelow  = "\x1b[J"
)

// screen is a terminal that shows one picture after the other, each in the place of the
// one before. It is the alternate one, so that nothing of what the terminal showed
// scrolls away, and all of that is back in the end.
type screen struct {
	e *env
	// resized tells that the terminal has another size, which a picture should fit.
	resized chan os.Signal
}

func (e *env) openScreen() (*screen, error) {
	s := &screen{e: e, resized: make(chan os.Signal, 1)}
	signal.Notify(s.resized, unix.SIGWINCH)
	return s, e.write(enterScreen)
}

func (s *screen) close() {
	signal.Stop(s.resized)
	_ = s.e.write(leaveScreen)
}

// draw shows a picture. Lines are overwritten and not all cleared first, so that
// nothing flickers; what is wider or longer than the terminal would scroll it, and is
// cut.
func (e *streams) draw(picture string) error {
	width, height := e.size()
	var b strings.Builder
	for line := range strings.Lines(fit(picture, height)) {
		bare, ended := strings.CutSuffix(line, "\n")
		b.WriteString(shortened(bare, width))
		if ended {
			b.WriteString(nextLine)
		}
	}
	return e.write(home + b.String() + eraseBelow)
}

// fit cuts text down to a screen of that many lines, 0 for any: more would
// scroll it.
func fit(text string, height int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if room := height - 2; height > 2 && len(lines) > height-1 {
		return strings.Join(lines[:room], "") + fmt.Sprintf("… %d more lines\n", len(lines)-room)
	}
	return text
}
