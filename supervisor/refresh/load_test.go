package refresh_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// 2,000 accounts with tokens of two minutes, a broker that takes half a second,
// and four in flight: told, with numbers, and over when the load is.
func TestOverloadIsNoticedAndEnds(t *testing.T) {
	// A tenth of the accounts for the tenth part of the way, where each costs
	// many times as much.
	accounts, takes := 2000, 500*time.Millisecond
	if testing.Short() {
		accounts, takes = 200, 5*time.Second
	}
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range accounts {
			names = append(names, fmt.Sprintf("a%04d", i))
		}
		r := newRig(t, 2*time.Minute, names...)
		r.broker.setTakes(takes)
		gen := r.start()
		time.Sleep(time.Minute) // the first are due after 90 s or so
		if l := r.keeper.Load(); l.Overloaded(r.wall()) || !l.Serving {
			t.Errorf("before anything is due: %+v", l)
		}
		time.Sleep(2 * time.Minute)
		l := r.keeper.Load()
		if !l.Overloaded(r.wall()) || l.Overdue < accounts/2 || len(l.Waiting) != 10 || l.Enough() || !l.Measured {
			t.Errorf("overloaded: %+v", l)
		}
		each := float64(accounts) / 2000
		if l.Needed < 15*each || l.Needed > 70*each || l.Possible() < 7*each || l.Possible() > 8.1*each || l.Accounts != accounts {
			t.Errorf("needed %v, possible %v, of %d accounts", l.Needed, l.Possible(), l.Accounts)
		}

		r.broker.setTakes(10 * time.Millisecond)
		time.Sleep(3 * time.Minute)
		if l := r.keeper.Load(); l.Overloaded(r.wall()) || !l.Since.IsZero() || !l.Enough() {
			t.Errorf("afterwards: %+v", l)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
