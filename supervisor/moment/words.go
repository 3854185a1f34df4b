package moment

import (
	"fmt"
	"time"
)

// Never stands where there is no time to show, and Unknown where there is one
// that nobody knows.
const (
	Never   = "-"
	Unknown = "unknown"
)

// Span is a duration as people read it, in one unit, at most 4 characters up to
// 27 years. From minutes on it is rounded: what lives seven days and has been there
// for a second has seven days to live.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	d = Within(d, -1<<62, 1<<62).Abs()
	near := func(unit time.Duration) time.Duration { return (d + unit/2 - 1).Truncate(unit) }
	minutes, hours := near(time.Minute), near(time.Hour)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case minutes < 2*time.Hour:
		return fmt.Sprintf("%dm", minutes/time.Minute)
	case hours < 2*day:
		return fmt.Sprintf("%dh", hours/time.Hour)
	default:
		return fmt.Sprintf("%dd", near(day)/day)
	}
}

// Relative is t as seen from now: "in 12m", "3m ago" or, within the last second,
// "just now".
func Relative(t, now time.Time) string {
	if !Sane(t) {
		return Never
	}
	d := t.Sub(now)
	switch {
	case d >= 0:
		return "in " + Span(d)
	case d > -time.Second:
		return "just now"
	}
	return Span(d) + " ago"
}

// Text is a moment in now's time zone, as short as it can be told apart from
// now's day and year, and how far away it is; an uncertain one is marked with ~.
func Text(t, now time.Time, uncertain bool) string {
	if !Sane(t) {
		return Never
	}
	layout := "15:04:05"
	switch local := t.In(now.Location()); {
	case local.Year() != now.Year():
		layout = time.DateOnly
	case local.YearDay() != now.YearDay():
		layout = "Jan _2 15:04"
	}
	return text(t, now, uncertain, layout)
}

// Brief is Text for a narrow column: without the time of day if that is more
// than a day away.
func Brief(t, now time.Time, uncertain bool) string {
	if !Sane(t) {
		return Never
	}
	layout := "15:04:05"
	switch local, far := t.In(now.Location()), t.Sub(now).Abs() >= 24*time.Hour; {
	case far && local.Year() != now.Year():
		layout = time.DateOnly
	case far:
		layout = "Jan _2"
	}
	return text(t, now, uncertain, layout)
}

func text(t, now time.Time, uncertain bool, layout string) string {
	mark := ""
	if uncertain {
		mark = "~"
	}
	return mark + t.In(now.Location()).Format(layout) + " " + Relative(t, now)
}

// Stamp is a moment for texts that are read elsewhere and later, in UTC.
func Stamp(t time.Time) string {
	if !Sane(t) {
		return Unknown
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// Ends is what such a text says now of a deadline: "ends 2026-03-01 12:00 UTC", or that
// it ended then.
func Ends(t, now time.Time, uncertain bool) string {
	if !Sane(t) {
		return "has an end that nobody knows"
	}
	text := "ends "
	if !t.After(now) {
		text = "ended "
	}
	if uncertain {
		text += "about "
	}
	return text + Stamp(t)
}
