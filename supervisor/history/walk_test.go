package history

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// TestWalkHoldsOneLine: who walks through a history has the lines that Read has, in their
// order, and never all of them in memory.
func TestWalkHoldsOneLine(t *testing.T) {
	dir := t.TempDir()
	r := ring{dir, most / 2}
	const lines = 20_000
	for n := range lines {
		err := put(r, event.Event{Time: day.Add(time.Duration(n) * time.Second), Type: event.Refreshed, Account: fmt.Sprint("a", n%100), Version: uint64(n), Message: "token refreshed"})
		if err != nil {
			t.Fatal(err)
		}
	}
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, seen := inUse(), uint64(0), 0
	past, err := Walk(dir, nil, func(l Line) error {
		if l.Version != uint64(seen) {
			return fmt.Errorf("line %d is version %d", seen, l.Version)
		}
		if seen++; seen%5000 == 0 {
			most = max(most, inUse())
		}
		return nil
	})
	if err != nil || seen != lines || len(past.Lines) > 0 || !past.From.Equal(day) || past.Gone {
		t.Errorf("%d lines, %+v, %v", seen, past, err)
	}
	const each = 100 // bytes that a line takes in memory at the least
	if grown := int64(most) - int64(before); grown > lines*each/4 {
		t.Errorf("%d bytes more are in use in the midst of it", grown)
	}
	read, err := Read(dir, nil)
	if err != nil || len(read.Lines) != lines || !slices.IsSortedFunc(read.Lines, func(a, b Line) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("%d lines are read, %v", len(read.Lines), err)
	}
	seen = 0
	if _, err := Walk(dir, nil, func(Line) error { seen++; return io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) || seen != 1 {
		t.Errorf("after %d lines: %v", seen, err)
	}
}
