package main

import (
	"fmt"
	"time"
)

// never stands where there is no time to show.
const never = "-"

// span is a duration as people read it, in one unit, at most 4 characters up
// to 99 years.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	default:
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	}
}

// relative is t as seen from now: "in 12m" or "3m ago".
func relative(t, now time.Time) string {
	if t.IsZero() {
		return never
	}
	d := t.Sub(now)
	if d >= 0 {
		return "in " + span(d)
	}
	return span(d) + " ago"
}

// absolute is t in now's time zone, as short as it can be told apart from
// now's day and year.
func absolute(t, now time.Time) string {
	t = t.In(now.Location())
	switch {
	case t.Year() != now.Year():
		return t.Format("2006-01-02")
	case t.YearDay() != now.YearDay():
		return t.Format("Jan _2 15:04")
	default:
		return t.Format("15:04:05")
	}
}

// brief is a moment for a narrow column: without the time of day if that is
// more than a day away.
func brief(t, now time.Time, uncertain bool) string {
	if t.IsZero() {
		return never
	}
	layout := "15:04:05"
	switch local := t.In(now.Location()); {
	case local.Year() != now.Year() && t.Sub(now).Abs() >= 24*time.Hour:
		layout = "2006-01-02"
	case t.Sub(now).Abs() >= 24*time.Hour:
		layout = "Jan _2"
	}
	mark := ""
	if uncertain {
		mark = "~"
	}
	return mark + t.In(now.Location()).Format(layout) + " " + relative(t, now)
}

// moment is both; an uncertain one is marked with ~.
func moment(t, now time.Time, uncertain bool) string {
	if t.IsZero() {
		return never
	}
	mark := ""
	if uncertain {
		mark = "~"
	}
	return mark + absolute(t, now) + " " + relative(t, now)
}
