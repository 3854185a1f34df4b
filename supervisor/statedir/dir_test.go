package statedir

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A disk that hung for a moment and answers again ends the alert about the disk;
// that somebody meddles with the files on it stays known.
func TestDiskThatAnswersEndsOnlyItsOwnAlert(t *testing.T) {
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	d := &Dir{cfg: Config{Events: bus, Log: slog.New(slog.DiscardHandler)}, facts: bus.NewFacts()}
	d.trouble(store.Trouble{Displaced: true, What: "the state file was removed", Path: "tokenkeeper.db"})
	d.trouble(store.Trouble{What: "the disk hangs", Path: "tokenkeeper.db", Err: errors.New("a write does not come back")})
	if n := len(d.facts.All()); n != 2 {
		t.Fatalf("%d facts are known, not 2: %+v", n, d.facts.All())
	}
	d.trouble(store.Trouble{Recovered: true, What: "the disk answers again", Path: "tokenkeeper.db"})
	if left := d.facts.All(); len(left) != 1 || left[0].Type != event.StoreDisplaced {
		t.Errorf("known afterwards: %+v", left)
	}
}
