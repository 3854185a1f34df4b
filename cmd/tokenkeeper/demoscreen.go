package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// demoLines is how many of the newest events are shown.
const demoLines = 8

// demoScreen is the live table: the status, the newest events, and what the
// keys do.
func (e *env) demoScreen(ctx context.Context, in *os.File, w *demoWorld, c *control.Client, events *event.Subscription) error {
	keys, restore, err := readKeys(in)
	if err != nil {
		return err
	}
	defer restore()
	defer func() { _ = e.write(showCursor) }()
	if err := e.write("\x1b[2J"); err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	said := make(chan string, 1)
	var newest []string
	note := ""
	for {
		st, err := c.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.drawDemo(st, newest, note, w.restartHint(c)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case note = <-said:
		case ev := <-events.C:
			newest = append(newest, clip(eventLine(ev, time.Local, e.painter(), unbroken), e.width()))
			newest = newest[max(len(newest)-demoLines, 0):]
		case key := <-keys:
			switch key {
			case 'q':
				return nil
			case 's', 'x':
				provider := map[byte]string{'s': "schwab", 'x': "saxo"}[key]
				note = "restarting " + provider + " …"
				go func() { say(said, restartNote(ctx, c, provider)) }()
			}
		}
	}
}

// say replaces what was said and not shown yet.
func say(said chan string, text string) {
	select {
	case <-said:
	default:
	}
	said <- text
}

func restartNote(ctx context.Context, c *control.Client, provider string) string {
	a, err := c.Restart(ctx, provider)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s restarted: PID %d became %d; the other provider went on", provider, a.OldPID, a.PID)
}

func (e *env) drawDemo(st control.Status, newest []string, note, hint string) error {
	p := e.painter()
	var b strings.Builder
	b.WriteString(renderStatus(st, e.now(), p, e.width()))
	b.WriteString("\n" + p.paint(bold, "NEWEST EVENTS") + "\n")
	for _, line := range newest {
		b.WriteString(line + "\n")
	}
	b.WriteString(strings.Repeat("\n", demoLines-len(newest)+1))
	b.WriteString(p.paint(bold, "[s]") + " restart schwab   " + p.paint(bold, "[x]") + " restart saxo   " + p.paint(bold, "[q]") + " quit\n")
	b.WriteString(p.paint(dim, "or from another terminal: "+hint) + "\n" + p.paint(green, note) + "\n")
	return e.write(home + strings.ReplaceAll(b.String(), "\n", eraseLine) + eraseBelow)
}

// readKeys lets single keys through as they are pressed. Ctrl-C stays a
// signal, and lines still end as on any terminal.
func readKeys(in *os.File) (keys <-chan byte, restore func(), err error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	now := *before
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return nil, nil, fmt.Errorf("set the terminal's mode: %w", err)
	}
	c := make(chan byte)
	go func() {
		buf := make([]byte, 1)
		for {
			if n, err := in.Read(buf); err != nil || n == 0 {
				return
			}
			c <- buf[0]
		}
	}()
	return c, func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
