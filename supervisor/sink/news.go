package sink

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// news is of which accounts a destination may hold less than before.
type news struct {
	rang chan struct{}

	mu       sync.Mutex
	accounts map[string]struct{}
	all      bool
}

func newNews() *news { return &news{rang: make(chan struct{}, 1), accounts: map[string]struct{}{}} }

// add notes an account, or, for "", all of them. It never blocks.
func (n *news) add(account string) {
	n.mu.Lock()
	if account == "" {
		n.all = true
	} else {
		n.accounts[account] = struct{}{}
	}
	n.mu.Unlock()
	select {
	case n.rang <- struct{}{}:
	default:
	}
}

// take returns what was noted since it was last asked.
func (n *news) take() (accounts []string, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	accounts, all = slices.Sorted(maps.Keys(n.accounts)), n.all
	clear(n.accounts)
	n.all = false
	return accounts, all
}

const (
	// newsPause gathers what comes in a burst.
	newsPause = 100 * time.Millisecond
	// visitPauseMax is up to what newsPause doubles with news of everything: a
	// consumer that binds its socket anew after each token, or that dies of it, gets
	// it no faster than it would by the looks alone.
	visitPauseMax = 30 * time.Second
	// mendPause, doubled up to the pause between two looks, is how long news of an
	// account is left to the next look after it was mended, so that two programs
	// that write one file over and over do not do so as fast as they can.
	mendPause    = time.Second
	mendPauseMax = 30 * time.Second
	// quiet is after how long without any the pauses begin anew.
	quiet = 5 * time.Minute
)

// visits are how lately everything was looked at upon news.
type visits struct {
	last  time.Time
	pause time.Duration
}

// add notes one, and returns how long the next has to wait.
func (v *visits) add(now time.Time) (pause time.Duration) {
	v.pause = min(2*v.pause, visitPauseMax)
	if v.pause == 0 || now.Sub(v.last) > quiet {
		v.pause = newsPause
	}
	v.last = now
	return v.pause
}

// mends are how lately each account was mended.
type mends map[string]mend

type mend struct {
	until time.Time
	pause time.Duration
	times int // without a quiet time between
}

// rest says whether the account is left to the next look.
func (m mends) rest(account string, now time.Time) bool { return now.Before(m[account].until) }

// add notes one, and returns how many there were without a quiet time between.
func (m mends) add(account string, now time.Time) (times int) {
	last := m[account]
	if now.Sub(last.until) > quiet {
		last = mend{pause: mendPause / 2}
	}
	pause := min(2*last.pause, mendPauseMax)
	m[account] = mend{now.Add(pause), pause, last.times + 1}
	return last.times + 1
}

// forget lets go of those that were quiet for long.
func (m mends) forget(now time.Time) {
	maps.DeleteFunc(m, func(_ string, last mend) bool { return now.Sub(last.until) > quiet })
}
