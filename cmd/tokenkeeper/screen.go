package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
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
	// suspended tells of Ctrl-Z: who shows pictures calls suspend.
	suspended chan os.Signal
	deafen    func()
}

// openScreen returns also a context that Ctrl-\ ends: by the default of either signal the
// terminal would be left as the picture needs it.
func (e *env) openScreen(ctx context.Context) (context.Context, *screen, error) {
	s := &screen{e: e, resized: make(chan os.Signal, 1), suspended: make(chan os.Signal, 1)}
	ctx, s.deafen = signal.NotifyContext(ctx, unix.SIGQUIT)
	signal.Notify(s.resized, unix.SIGWINCH)
	signal.Notify(s.suspended, unix.SIGTSTP)
	return ctx, s, e.write(enterScreen)
}

func (s *screen) close() {
	_ = s.e.write(leaveScreen)
	signal.Stop(s.resized)
	signal.Stop(s.suspended)
	s.deafen()
}

// suspend gives the terminal back to the shell, and goes on once that continues us. In
// the process group of the session's leader nobody would, and nothing is done, as the
// kernel does nothing there.
func (s *screen) suspend() error {
	session, err := unix.Getsid(0)
	if err != nil || session == unix.Getpgrp() {
		return err
	}
	if err := s.e.write(leaveScreen); err != nil {
		return err
	}
	// SIGSTOP, because Go never gives SIGTSTP its default back; and to this thread, which
	// then is stopped before it writes anything more.
	runtime.LockOSThread()
	err = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
	runtime.UnlockOSThread()
	return errors.Join(err, s.e.write(enterScreen))
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
