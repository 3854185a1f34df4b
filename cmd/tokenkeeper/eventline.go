package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// eventIndent is where the later lines of an event begin that is wider than the terminal.
const eventIndent = "          "

// eventLine is an event as a person reads it, broken to width.
func eventLine(ev event.Event, zone *time.Location, p painter, width int) string {
	kind := fmt.Sprintf("%-17s", harmless(ev.Type.Words()))
	s := plain
	switch {
	case ev.Alert:
		s = red
	case ev.Type == event.RefreshFailed, ev.Type == event.DeliveryFailed:
		s = yellow
	case ev.Type == event.Refreshed, ev.Type == event.Recovered:
		s = green
	}
	var about []string
	if ev.Account != "" {
		about = append(about, ev.Account)
	} else if ev.Provider != "" {
		about = append(about, ev.Provider)
	}
	if ev.Sink != "" {
		about = append(about, "→ "+ev.Sink)
	}
	if ev.Version > 0 {
		about = append(about, version(ev.Version))
	}
	at := ev.Time.In(zone).Format("15:04:05")
	painted := p.paint(dim, at) + "  " + p.paint(s, kind) + "  "
	text := ev.Message
	if ev.Act != nil {
		text = actText(*ev.Act)
	}
	if len(about) > 0 {
		text = strings.Join(about, " ") + "  " + text
	}
	text = harmless(text) // the history may be another user's
	bare := at + "  " + kind + "  "
	if width == unbroken || utf8.RuneCountInString(bare+text) <= width {
		return painted + text
	}
	var b strings.Builder
	writeBroken(&b, painter{}, cell{text, plain}, bare, eventIndent, width)
	return painted + strings.TrimSuffix(strings.TrimPrefix(b.String(), bare), "\n")
}

// actText says what was asked for, and by whom.
func actText(a event.Act) string {
	name := a.Name
	if a.Force {
		name += " by force"
	}
	if a.Times > 0 {
		name += fmt.Sprintf(", %d times", a.Times)
	}
	program := a.Caller.Program
	if program == "" {
		program = "a program"
	}
	return fmt.Sprintf("%s: %s (user %d, PID %d)", name, program, a.Caller.UID, a.Caller.PID)
}
