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
