package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func sinksTable(sinks []control.Sink, now time.Time) table {
	t := table{head: []string{"SINK", "TYPE", "SENDS", "ACCOUNTS", "UP TO DATE", "LAG", "LAST", "STATE"}, width: narrow}
	for _, s := range sinks {
		state := sinkState(s)
		accounts, upToDate, lag := moment.Never, moment.Never, moment.Never
		if n := s.UpToDate + s.Behind; len(s.Accounts) > 0 {
			accounts, upToDate = strconv.Itoa(len(s.Accounts)), fmt.Sprintf("%d/%d", s.UpToDate, n)
		}
		if s.Lag > 0 {
			lag = moment.Span(s.Lag)
		}
		switch {
		case s.LagAtLeast && s.Lag == 0:
			lag = moment.Unknown
		case s.LagAtLeast:
			lag = ">" + lag
		}
		t.rows = append(t.rows, row{
			cells: []cell{
				{s.Name, plain}, {s.Type, plain}, {sends(s.Kinds), plain}, {accounts, plain}, {upToDate, plain}, {lag, plain},
				{moment.Relative(s.LastDelivery, now), plain}, state,
			},
			notes: sinkNotes(s, now),
		})
	}
	return t
}

// sends names the kinds of what goes to a sink.
func sends(kinds []sink.Kind) string {
	if len(kinds) > 2 {
		return "all"
	}
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ",")
}

// sinkState is the worst of what is to be said of a sink, in one word.
func sinkState(s control.Sink) cell {
	switch {
	case s.Disabled != nil:
		return cell{"disabled", red}
	case s.Process != nil && (s.Process.State == control.ProviderCrashing || s.Process.State == control.ProviderParked):
		return cell{string(s.Process.State), red}
	case s.Failing > 0:
		return cell{"failing", red}
	case s.Absent:
		return cell{"absent", yellow}
	case s.Behind > 0, s.OpenNotices > 0:
		return cell{"behind", yellow}
	case waitsForFirst(s):
		return cell{"no token", yellow}
	default:
		return cell{"ok", green}
	}
}

// waitsForFirst says whether a sink has had nothing to do yet, because none of its
// accounts has a token.
func waitsForFirst(s control.Sink) bool {
	return slices.Contains(s.Kinds, sink.KindToken) && len(s.Accounts) > 0 && s.UpToDate+s.Behind == 0
}

func sinkNotes(s control.Sink, now time.Time) []cell {
	var notes []cell
	add := func(look style, format string, args ...any) {
		notes = append(notes, cell{fmt.Sprintf(format, args...), look})
	}
	if d := s.Disabled; d != nil {
		add(red, "disabled by %s %s; enable it with: tokenkeeper sinks enable %s", d.By, moment.Relative(d.Since, now), s.Name)
	}
	if s.LastError != "" && (s.Failing > 0 || s.Disabled != nil) {
		text := s.LastError
		if !s.LastErrorAt.IsZero() {
			text = moment.Relative(s.LastErrorAt, now) + ": " + text
		}
		switch {
		case s.Next.After(now):
			text += "; tried again " + moment.Relative(s.Next, now)
		case !s.Next.IsZero():
			text += "; it is being tried"
		}
		add(red, "%s", text)
	}
	if s.Absent && s.Failing == 0 && s.Disabled == nil && (s.Process == nil || s.Process.State == control.ProviderRunning) {
		why := s.AbsentBecause
		if why == "" {
			why = "the consumer is not running"
		}
		add(yellow, "%s; what it missed waits for it", why)
	}
	if waitsForFirst(s) && s.Disabled == nil && s.Failing == 0 {
		add(yellow, "it waits for the first token of %s", some(s.Accounts))
	}
	if s.OpenNotices > 0 {
		add(yellow, "%s to tell", counted(s.OpenNotices, "alert or event", "alerts or events"))
	}
	if s.DroppedEvents > 0 {
		add(yellow, "%s given up since the start", counted(int(s.DroppedEvents), "event was", "events were"))
	}
	if p := s.Process; p != nil && p.State != control.ProviderRunning {
		text := map[process.State]string{
			control.ProviderBackoff: "its process has ended", control.ProviderCrashing: "its process keeps crashing", control.ProviderParked: "its process can't run",
		}[p.State]
		if text == "" {
			text = "its process is " + string(p.State)
		}
		if !p.NextStart.IsZero() {
			text += " and starts again " + moment.Relative(p.NextStart, now)
		}
		if p.LastError != "" {
			text += ": " + p.LastError
		}
		add(providerStyle(p.State), "%s", text)
	}
	if p := s.Process; p != nil && p.OldProgram != "" {
		add(yellow, "%s", p.OldProgram)
	}
	return notes
}

// counted is a number and what it counts.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
