package alert

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestWindow(t *testing.T) {
	copenhagen, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		t.Skip("this machine has no time zones:", err)
	}
	morning := Window{Days: []time.Weekday{time.Saturday}, From: 2 * time.Hour, To: 6 * time.Hour, Zone: copenhagen}
	night := Window{Days: []time.Weekday{time.Friday}, From: 23 * time.Hour, To: time.Hour, Zone: copenhagen}
	for _, tt := range []struct {
		w         Window
		now, want string // in UTC; "": none
	}{
		{morning, "2027-01-09T00:59:00Z", ""},
		{morning, "2027-01-09T01:00:00Z", "2027-01-09T05:00:00Z"},
		{morning, "2027-01-09T04:59:00Z", "2027-01-09T05:00:00Z"},
		{morning, "2027-01-09T05:00:00Z", ""},
		{morning, "2027-01-10T02:00:00Z", ""},                     // a Sunday
		{morning, "2027-07-10T00:30:00Z", "2027-07-10T04:00:00Z"}, // summer
		{night, "2027-01-08T23:30:00Z", "2027-01-09T00:00:00Z"},
		{night, "2027-01-09T22:30:00Z", ""}, // Saturday's begins at no time
		{Window{From: 12 * time.Hour, To: 12 * time.Hour, Zone: time.UTC}, "2027-01-09T11:00:00Z", "2027-01-09T12:00:00Z"},
	} {
		now, _ := time.Parse(time.RFC3339, tt.now)
		got := tt.w.Until(now)
		if want, _ := time.Parse(time.RFC3339, tt.want); !got.Equal(want) {
			t.Errorf("%+v at %s: until %s, want %s", tt.w, tt.now, got, tt.want)
		}
	}
}

// What fails while the broker is maintained is told when that is over and it
// still fails, or when the token is nearly lost.
func TestMaintenanceRaisesNoAlert(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		every := []Window{{From: 2 * time.Hour, To: 6 * time.Hour, Zone: time.UTC}}
		w.set2(accounts(3, 0))
		w.excuse = every
		w.start()
		w.pass(2*time.Hour + time.Minute)
		fail := func(s *Snapshot) {
			down(2)(s)
			for n := range 2 {
				s.Accounts[n].FailedAt = time.Now()
			}
		}
		w.set(fail)
		w.pass(3 * time.Hour)
		w.none()
		w.set(func(s *Snapshot) { s.Accounts[1].RefreshExpiry = time.Now().Add(10 * time.Minute) })
		if a := w.failing(); a.State != event.AlertRaised || a.Account != "a-0001" {
			t.Errorf("a token that is nearly lost: %+v", a)
		}
		w.pass(time.Hour) // it is over, and nothing was tried since
		if a := w.failing(); a.Accounts != 1 {
			t.Errorf("nothing was tried since: %+v", a)
		}
		w.set(fail)
		w.pass(time.Minute)
		if a := w.failing(); a.Accounts != 2 {
			t.Errorf("it still fails: %+v", a)
		}
	})
}
