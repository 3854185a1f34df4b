package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// clock is a moment of the day of which the tests tell, or with "-" before it of the day
// before.
func clock(text string) time.Time {
	day := 30
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		text, day = rest, 29
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 11, day, t.Hour(), t.Minute(), 0, 0, time.UTC)
}

// line is an event about account main of provider schwab.
func line(at string, e event.Event) history.Line {
	e.Time, e.Account, e.Provider = clock(at), "main", "schwab"
	return history.Line{Event: e}
}

// other is an event that names no account, or nothing at all.
func other(at string, e event.Event) history.Line {
	e.Time = clock(at)
	return history.Line{Event: e}
}

// begins is a run's begin with the accounts that are configured.
func begins(at string, accounts ...string) []history.Line {
	return []history.Line{
		other(at, event.Event{Type: history.RunBegan, Message: "the supervisor starts, version 1"}),
		{Event: event.Event{Time: clock(at), Type: history.Configured}, Accounts: accounts},
	}
}

func ends(at string) history.Line { return other(at, event.Event{Type: history.RunEnded}) }

// comes is a refresh whose token lives until a moment, and its delivery to the sinks.
func comes(at string, version uint64, until string, sinks ...string) []history.Line {
	lines := []history.Line{line(at, event.Event{Type: event.Refreshed, Version: version, Expiry: clock(until), Message: "token refreshed"})}
	for _, sink := range sinks {
		lines = append(lines, delivered(at, version, sink))
	}
	return lines
}

func delivered(at string, version uint64, sink string) history.Line {
	return line(at, event.Event{Type: event.Delivered, Version: version, Sink: sink, Message: fmt.Sprintf("sink %q has version %d", sink, version)})
}

// failures are attempts once a minute that fail for the same reason.
func failures(from string, n int, kind, why string) (lines []history.Line) {
	for i := range n {
		l := line(from, event.Event{Type: event.RefreshFailed, Kind: kind, Failures: i + 1, Max: 5,
			Message: fmt.Sprintf("refresh failed (%d in a row, alert from the 5th): account main: %s", i+1, why)})
		l.Time = l.Time.Add(time.Duration(i) * time.Minute)
		lines = append(lines, l)
	}
	return lines
}

func join(parts ...any) (lines []history.Line) {
	for _, p := range parts {
		switch p := p.(type) {
		case history.Line:
			lines = append(lines, p)
		case []history.Line:
			lines = append(lines, p...)
		}
	}
	return lines
}

// usual is how each of the nights begins: version 41 lives until 02:00.
func usual() []history.Line {
	return join(begins("01:00", "main", "spare"), comes("01:30", 41, "02:00", "bot", "hook"))
}
