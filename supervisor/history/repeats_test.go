package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// An outage of hours leaves what was before it in the ring, and no failure is uncounted.
func TestRepeatsAreJoined(t *testing.T) {
	var r repeats
	var lines []Line
	fail := func(minute int, account, why string) {
		lines = append(lines, r.take(Line{Event: event.Event{
			Time: day.Add(time.Duration(minute) * time.Minute), Type: event.RefreshFailed, Account: account, Message: fmt.Sprintf("refresh failed (%d in a row): %s", minute+1, why),
		}})...)
	}
	count := func(account string) (n int) {
		for _, l := range lines {
			if l.Account == account && l.Type == event.RefreshFailed {
				n += max(1, l.Times)
			}
		}
		return n
	}
	for minute := range 102 {
		fail(minute, "main", "HTTP 503")
		fail(minute, "side", "HTTP 503")
	}
	if len(lines) != 2*(singly+9) || count("main") != 100 {
		t.Errorf("%d lines of %d failures", len(lines), count("main"))
	}
	lines = append(lines, r.take(Line{Event: refreshed(1)})...) // of another account
	fail(102, "main", "HTTP 503")
	lines = append(lines, r.take(Line{Event: event.Event{Time: day.Add(103 * time.Minute), Type: event.Refreshed, Account: "main"}})...)
	if n := len(lines); lines[n-2].Times != 3 || !lines[n-2].First.Equal(day.Add(100*time.Minute)) || !lines[n-2].Time.Equal(day.Add(102*time.Minute)) || lines[n-1].Type != event.Refreshed {
		t.Errorf("what waited comes before what ended it: %+v", lines[n-2:])
	}
	fail(110, "side", "no answer came")
	if n := len(lines); lines[n-2].Times != 2 || lines[n-1].Times != 0 || count("side") != 103 {
		t.Errorf("another reason: %+v", lines[n-2:])
	}
	for minute := range 12 {
		fail(111+minute, "side", "no answer came")
	}
	if rest := r.all(); len(rest) != 1 || rest[0].Times != 3 {
		t.Errorf("at the end: %+v", rest)
	}
}

// Who publishes waits for what an event ends: that does not grow with how many other accounts fail.
func TestOthersFailuresHoldUpNoEvent(t *testing.T) {
	const others = 50_000
	var alone, among repeats
	for n := range others {
		among.take(Line{Event: event.Event{Time: day, Type: event.RefreshFailed, Account: fmt.Sprint("other", n)}})
	}
	takes := func(r *repeats) time.Duration {
		quickest := time.Hour
		for range 5 {
			began := time.Now()
			for range 200 {
				r.take(Line{Event: event.Event{Time: day, Type: event.RefreshFailed, Account: "main"}})
				r.take(Line{Event: event.Event{Time: day, Type: event.Refreshed, Account: "main"}})
			}
			quickest = min(quickest, time.Since(began))
		}
		return quickest
	}
	if one, many := takes(&alone), takes(&among); many > 100*one {
		t.Errorf("%s among %d accounts that fail, and %s alone", many, others, one)
	}
	if n := len(among.of); n != others {
		t.Errorf("%d accounts fail", n)
	}
}

// A clock that is set back keeps no failure from being written.
func TestRepeatsAreWrittenThoughTheClockIsSetBack(t *testing.T) {
	var r repeats
	written := 0
	for minute := range 60 {
		at := day.Add(time.Duration(minute) * time.Minute)
		if minute >= 20 {
			at = at.Add(-24 * time.Hour)
		}
		for _, l := range r.take(Line{Event: event.Event{Time: at, Type: event.RefreshFailed, Account: "main"}}) {
			written += max(1, l.Times)
		}
	}
	if written < 50 {
		t.Errorf("%d of 60 failures are written", written)
	}
}
