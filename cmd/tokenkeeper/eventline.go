package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// eventLine is an event as a person reads it.
func eventLine(ev event.Event, zone *time.Location, p painter) string {
	kind := fmt.Sprintf("%-17s", strings.ReplaceAll(string(ev.Type), "_", " "))
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
	parts := []string{p.paint(dim, ev.Time.In(zone).Format("15:04:05")), p.paint(s, kind)}
	if len(about) > 0 {
		parts = append(parts, strings.Join(about, " "))
	}
	if ev.Act != nil {
		return strings.Join(append(parts, actText(*ev.Act)), "  ")
	}
	return strings.Join(append(parts, ev.Message), "  ")
}

// actText says what was asked for, and by whom.
func actText(a event.Act) string {
	name := a.Name
	if a.Force {
		name += " by force"
	}
	program := a.Caller.Program
	if program == "" {
		program = "a program"
	}
	return fmt.Sprintf("%s: %s (user %d, PID %d)", name, program, a.Caller.UID, a.Caller.PID)
}
