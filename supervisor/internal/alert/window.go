package alert

import (
	"slices"
	"time"
)

// Window is a time of the day at which a broker may fail without an alert.
type Window struct {
	// Days on which it begins; empty: every day.
	Days []time.Weekday
	// From and To are times of the day; if To is not after From, it is of the
	// next day.
	From, To time.Duration
	Zone     *time.Location
}

// Until is the end of the window if now is in it, or else zero.
func (w Window) Until(now time.Time) time.Time {
	now = now.In(w.Zone)
	for back := range 2 { // it may have begun yesterday
		begins := w.at(now, -back, w.From)
		ends := w.at(now, -back, w.To)
		if w.To <= w.From {
			ends = w.at(now, 1-back, w.To)
		}
		runs := len(w.Days) == 0 || slices.Contains(w.Days, begins.Weekday())
		if runs && !now.Before(begins) && now.Before(ends) {
			return ends
		}
	}
	return time.Time{}
}

// at is the time of the day by the clock on the wall, days after that of now.
func (w Window) at(now time.Time, days int, of time.Duration) time.Time {
	return time.Date(now.Year(), now.Month(), now.Day()+days, int(of.Hours()), int(of.Minutes())%60, 0, 0, w.Zone)
}

const (
	// afterMaintenance is how long after a window an account may take for its
	// first attempt.
	afterMaintenance = 15 * time.Minute
	// nearlyLost is how near its end a refresh token is when no window keeps
	// people from hearing of it.
	nearlyLost = 15 * time.Minute
)

// Maintenance is the latest end of the windows that are open, or were so lately
// that what failed in them need not have been tried again; zero: none.
func Maintenance(windows []Window, now time.Time) (end time.Time) {
	for _, w := range windows {
		for _, at := range []time.Time{now, now.Add(-afterMaintenance)} {
			if until := w.Until(at); until.After(end) {
				end = until
			}
		}
	}
	return end
}

// excused says whether the account's failures are those of a maintenance, which
// nobody has to hear of before it is over, or the token is nearly lost.
func (a *Account) excused(now time.Time) bool {
	switch {
	case a.Maintenance.IsZero(), a.Misconfigured:
		return false
	case !a.RefreshExpiry.IsZero() && a.RefreshExpiry.Sub(now) <= nearlyLost:
		return false
	}
	return now.Before(a.Maintenance) || !a.FailedAt.After(a.Maintenance)
}
