package history

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// It takes no more room than it may, and how long it reaches follows from that. What has to be
// known of the part that is gone is repeated.
func TestRingIsBounded(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	r := ring{dir, size / 2}
	put := func(l Line) int {
		t.Helper()
		line, err := l.marshal()
		if err == nil {
			err = r.add(line)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(line)
	}
	put(Line{Event: event.Event{Time: day, Type: event.NeedsLogin, Account: "old", Provider: "schwab", Message: "log in"}})
	put(Line{Event: event.Event{Time: day, Type: event.Paused, Account: "schwab-main", Provider: "schwab", Message: "paused"}})
	const refreshes = 500
	bytes := 0
	for version := range uint64(refreshes) {
		e := refreshed(version + 1)
		bytes += put(Line{Event: e})
		for _, sink := range []string{"bot", "hook"} {
			bytes += put(Line{Event: deliveredTo(sink, e)})
		}
		onDisk := int64(0)
		for _, name := range []string{fileName, beforeName} {
			if info, err := os.Stat(r.path(name)); err == nil {
				onDisk += info.Size()
			}
		}
		if onDisk > size {
			t.Fatalf("%d bytes after refresh %d", onDisk, version)
		}
	}
	past, err := Read(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !past.Gone || !past.From.After(refreshed(1).Time) || past.Lines[0].Time.After(past.From) {
		t.Errorf("it begins %s, something is gone: %v", past.From, past.Gone)
	}
	known := map[event.Type]Line{}
	for _, l := range past.Lines {
		if l.Account == "old" || l.Type == event.Paused {
			known[l.Type] = l
		}
	}
	if len(known) != 2 || !known[event.Paused].Again {
		t.Errorf("of what is gone it is known: %v", known)
	}
	if last := past.Lines[len(past.Lines)-1]; last.Version != refreshes || last.Sink != "hook" {
		t.Errorf("the last line: %+v", last)
	}
	seen := map[string]bool{}
	for _, l := range past.Lines {
		key := fmt.Sprint(l.Type, l.Account, l.Sink, l.Version)
		if seen[key] {
			t.Errorf("twice: %s", key)
		}
		seen[key] = true
	}
	each := bytes / refreshes
	t.Logf("%d bytes for a refresh and its delivery to two sinks: %d refreshes in %d MiB", each, least/2/each, least>>20)
	if each > 800 {
		t.Errorf("a refresh takes %d bytes; README.md says less than 800", each)
	}
}

// A storm's lines, which come to the disk together, take no more room either, and none is torn.
func TestStormIsBounded(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	r := ring{dir, size / 2}
	var storm []byte
	for n := range uint64(mostWaiting) {
		line, err := Line{Event: refreshed(n)}.marshal()
		if err != nil {
			t.Fatal(err)
		}
		storm = append(storm, line...)
	}
	if len(storm) < 2*size {
		t.Fatalf("only %d bytes", len(storm))
	}
	for range 2 {
		if err := r.add(storm); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{fileName, beforeName} {
			if info, err := os.Stat(r.path(name)); err != nil || info.Size() > size/2 {
				t.Errorf("%s has %d bytes, %v", name, info.Size(), err)
			}
		}
	}
	past, err := Read(dir, nil)
	if err != nil || len(past.Lines) == 0 {
		t.Fatalf("%v, %v", past, err)
	}
	for n, l := range past.Lines[1:] {
		if !l.Again && !past.Lines[n].Again && l.Version != past.Lines[n].Version+1 {
			t.Errorf("after version %d comes %d", past.Lines[n].Version, l.Version)
		}
	}
	if last := past.Lines[len(past.Lines)-1]; last.Version != mostWaiting-1 {
		t.Errorf("the last line: %+v", last)
	}
}

// A stop amid a storm is no kill.
func TestStormLeavesTheEnd(t *testing.T) {
	w := New(Config{Dir: t.TempDir(), Wall: func() time.Time { return day }, Log: quiet()})
	for n := range uint64(mostWaiting + 10) {
		w.Note(refreshed(n))
	}
	w.tell(Line{Event: event.Event{Type: RunEnded}})
	if n := len(w.waiting); w.waiting[n-1].Type != RunEnded || w.lost != 10 {
		t.Errorf("the last of %d is %s, %d are lost", n, w.waiting[n-1].Type, w.lost)
	}
}
