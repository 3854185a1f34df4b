package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"
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
func (o objectReader) maintenance() (all []Maintenance) {
	for _, w := range o.windows() {
		m := Maintenance{Zone: time.Local}
		for _, day := range w.words("days") {
			if n := slices.Index(weekdays, day); n >= 0 {
				m.Days = append(m.Days, time.Weekday(n))
			}
		}
		m.From, _ = timeOfDay(w.word("from"))
		m.To, _ = timeOfDay(w.word("to"))
		if zone, err := time.LoadLocation(w.word("zone")); err == nil && w.given("zone") {
			m.Zone = zone
		}
		all = append(all, m)
	}
	return all
}

// windows are the entries of the list, in order.
func (o objectReader) windows() (all []objectReader) {
	list := o.down("maintenance")
	for n := range len(list.values) {
		all = append(all, list.down(strconv.Itoa(n)))
	}
	return all
}

func timeOfDay(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err
}

func (o objectReader) validateMaintenance() {
	for _, w := range o.windows() {
		for _, key := range []string{"from", "to"} {
			text := w.word(key)
			if _, err := timeOfDay(text); err != nil && !w.broken[w.dotted(key)] {
				w.report(w.at(key), fmt.Sprintf("%q is no time of the day", text), `write it like "02:00"`)
			}
		}
		for n, day := range w.words("days") {
			if !slices.Contains(weekdays, day) {
				w.report(w.item("days", n), fmt.Sprintf("%q is no day of the week", day), "write mon, tue, wed, thu, fri, sat or sun")
			}
		}
		w.validateZone("zone", w.word("zone"))
	}
}
