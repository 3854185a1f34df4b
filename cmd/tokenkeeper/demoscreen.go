package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// demoLines is how many of the newest events are shown at most, and fewDemoLines for
// how few the blank lines between the tables give way.
const (
	demoLines    = 8
	fewDemoLines = 5
)

// demoScreen is the live table: the status, the newest events, and what the
// keys do.
func (e demonstration) demoScreen(ctx context.Context, in *os.File, w *demoWorld, c *control.Client, events *event.Subscription) error {
	keys, restore, err := readKeys(in)
	if err != nil {
		return err
	}
	defer restore()
	ctx, shown, err := e.openScreen(ctx)
	if err != nil {
		return err
	}
	defer shown.close()
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
		case <-shown.resized:
		case note = <-said:
		case ev := <-events.C:
			newest = append(newest, eventLine(ev, time.Local, e.painter(), unbroken))
			newest = newest[max(len(newest)-demoLines, 0):]
		case key := <-keys:
			switch key {
			case 'q', 'Q':
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

func (e demonstration) drawDemo(st control.Status, newest []string, note, hint string) error {
	p, width := e.painter(), e.tableWidth()
	_, height := e.size()
	hints := strings.Split(breakProse("or from another terminal: "+hint, proseIn(width)), "\n")
	for i := range hints {
		hints[i] = p.paint(dim, hints[i])
	}
	return e.draw(demoPicture(height,
		strings.Split(strings.TrimSuffix(renderStatus(st, e.now(), p, width), "\n"), "\n"),
		p.paint(bold, "NEWEST EVENTS"), newest,
		p.paint(bold, "[s]")+" restart schwab   "+p.paint(bold, "[x]")+" restart saxo   "+p.paint(bold, "[q]")+" quit",
		hints, p.paint(green, note)))
}

// demoPicture puts together what fits a terminal of that height, 0 for any: the head
// stays at the top, the keys and the note at the bottom. Where there is little room, the
// hints give way first, then the older events, then blank lines and the end of the head.
func demoPicture(height int, head []string, title string, newest []string, keys string, hints []string, note string) string {
	const lead, foot = 2, 2 // a blank line and the title; the keys and the note
	room := height - 1      // behind the last line is the cursor
	if height == 0 {
		room = len(head) + lead + demoLines + foot + 1 + len(hints)
	}
	if room-len(head)-lead-foot < fewDemoLines {
		head = slices.DeleteFunc(slices.Clone(head), func(line string) bool { return line == "" })
	}
	if most := max(room-foot, 1); len(head) > most {
		head = append(head[:most-1:most-1], fmt.Sprintf("… %d more lines", len(head)-most+1))
	}
	lines := slices.Clone(head)
	left := room - len(head) - foot
	if events := min(left-lead, demoLines); events > 0 {
		lines = append(lines, "", title)
		newest = newest[max(len(newest)-events, 0):]
		lines = append(append(lines, newest...), make([]string, events-len(newest))...)
		left -= lead + events
	}
	if left > 0 {
		lines, left = append(lines, ""), left-1
	}
	lines = append(lines, keys)
	if left >= len(hints) {
		lines = append(lines, hints...)
	}
	return strings.Join(append(lines, note), "\n") + "\n"
}

// readKeys lets single keys through as they are pressed. Ctrl-C stays a
// signal, and lines still end as on any terminal. Ctrl-Z and Ctrl-\ are none, because
// they would leave the terminal in this mode.
func readKeys(in *os.File) (keys <-chan byte, restore func(), err error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	now := *before
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	now.Cc[unix.VSUSP], now.Cc[unix.VQUIT] = 0, 0 // _POSIX_VDISABLE
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
