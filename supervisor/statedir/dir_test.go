package statedir

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
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

// What is known of a disk that took nothing is over with the first change that it takes.
func TestFirstWriteEndsTheDiskAlert(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		d, err := Open(Config{Path: filepath.Join(disk, "state"), Wall: time.Now, Events: event.NewBus(log, time.Now), Log: log,
			Provider: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		troubled := func() bool {
			return slices.ContainsFunc(d.Facts().All(), func(f event.Fact) bool { return f.Type == event.DiskTrouble })
		}
		r := record.Record{Account: "main"}
		commit := func() error {
			r = r.Next(recordtest.Token(int(r.Version)), record.OriginLogin, "a", time.Now())
			return d.Store().Commit(t.Context(), r)
		}
		if err := errors.Join(commit(), os.Rename(disk, disk+"-gone")); err != nil || troubled() {
			t.Fatalf("%v, troubled: %t", err, troubled())
		}
		before := r
		if err := commit(); !errors.Is(err, store.ErrDisk) || !troubled() || d.Store().Fault() == nil {
			t.Errorf("%v, troubled: %t", err, troubled())
		}
		r = before
		if err := os.Rename(disk+"-gone", disk); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if !troubled() {
			t.Error("it is over before anything was written")
		}
		if err := commit(); err != nil || troubled() || d.Store().Fault() != nil {
			t.Errorf("%v, troubled: %t, fault: %v", err, troubled(), d.Store().Fault())
		}
	})
}
