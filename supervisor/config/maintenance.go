package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Maintenance is a time of the day at which a broker may fail.
type Maintenance struct {
	// Days on which it begins; empty: every day.
	Days []time.Weekday
	// From and To are counted from midnight; if To is not after From, it is of
	// the next day.
	From, To time.Duration
	Zone     *time.Location
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// maintenance reads the windows of a provider. What is wrong in one, which
// validateMaintenance reports, reads as zero.
func maintenance(o Object) (all []Maintenance) {
	for _, w := range rowsOf(o, "maintenance") {
		m := Maintenance{}
		for _, day := range w.Words("days") {
			if n := slices.Index(weekdays, day); n >= 0 {
				m.Days = append(m.Days, time.Weekday(n))
			}
		}
		m.From, _ = timeOfDay(w.Word("from"))
		m.To, _ = timeOfDay(w.Word("to"))
		var err error
		if m.Zone, err = moment.Zone(w.Word("zone")); err != nil {
			m.Zone = time.Local
		}
		all = append(all, m)
	}
	return all
}

func timeOfDay(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err
}

func validateMaintenance(o Object) {
	for _, w := range rowsOf(o, "maintenance") {
		for _, key := range []string{"from", "to"} {
			text := w.Word(key)
			if _, err := timeOfDay(text); err != nil && !w.Broken(key) {
				w.Report(w.At(key), fmt.Sprintf("%q is no time of the day", text), `write it like "02:00"`)
			}
		}
		for n, day := range w.Words("days") {
			if !slices.Contains(weekdays, day) {
				w.Report(w.Item("days", n), fmt.Sprintf("%q is no day of the week", day), "write mon, tue, wed, thu, fri, sat or sun")
			}
		}
		Zone(w, "zone", w.Word("zone"))
	}
}
