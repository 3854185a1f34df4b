package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

var day = time.Date(2026, 11, 30, 2, 0, 0, 0, time.UTC)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// running is a writer that runs until stop is called.
func running(t *testing.T, w *Writer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func refreshed(version uint64) event.Event {
	return event.Event{
		Seq: version * 3, Time: day.Add(time.Duration(version) * 25 * time.Minute), Type: event.Refreshed, Provider: "schwab", Account: "schwab-main",
		Version: version, Attempt: "01JDXK6T8Z4W9Q2V7N3M5B1C0D", Message: "token refreshed",
		Expiry: day.Add(time.Duration(version)*25*time.Minute + 30*time.Minute), Next: day.Add(time.Duration(version+1) * 25 * time.Minute),
	}
}

func deliveredTo(sink string, of event.Event) event.Event {
	of.Type, of.Sink, of.Attempt, of.Max, of.Expiry, of.Next = event.Delivered, sink, "", 5, time.Time{}, time.Time{}
	of.Message = fmt.Sprintf("sink %q has version %d of account schwab-main", sink, of.Version)
	return of
}

func types(lines []Line) (all []string) {
	for _, l := range lines {
		all = append(all, string(l.Type))
	}
	return all
}

// What was written is there after a restart, for its owner alone, and who reads tokens is not.
func TestHistorySurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		w := New(Config{Dir: dir, Wall: func() time.Time { return day }, Log: quiet()})
		w.Began("test")
		w.Configured([]string{"main"}, nil)
		w.Stand("when the supervisor started", []Line{{Event: event.Event{Account: "main", Version: 7}, Standing: "valid", StoredAt: day}})
		stop := running(t, w)
		w.Note(refreshed(uint64(run + 1)))
		w.Note(event.Event{Time: day, Type: event.Audit, Act: &event.Act{Name: "token"}})
		w.Note(event.Event{Time: day, Type: event.Audit, Act: &event.Act{Name: "refresh", Force: true}})
		stop()
	}
	past, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("run_began configured stands refreshed audit run_ended ", 2)
	if got := strings.Join(types(past.Lines), " ") + " "; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if l := past.Lines[1]; len(l.Accounts) != 1 || l.Sinks == nil || len(l.Sinks) > 0 {
		t.Errorf("it is configured so: %+v", l)
	}
	if l := past.Lines[2]; l.Standing != "valid" || l.Version != 7 || l.Happened() {
		t.Errorf("it stood so: %+v", l)
	}
	if l := past.Lines[9]; l.Version != 2 || !l.Expiry.Equal(refreshed(2).Expiry) || !l.IsToken() || !l.Happened() {
		t.Errorf("the second refresh: %+v", l)
	}
	if info, err := os.Stat(filepath.Join(dir, fileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A line that was cut off, or damaged, costs itself alone.
func TestTornAndDamagedLines(t *testing.T) {
	dir := t.TempDir()
	r := ring{dir, 1 << 20}
	add := func(e event.Event) {
		t.Helper()
		line, err := Line{Event: e}.marshal()
		if err == nil {
			err = r.add(line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add(refreshed(1))
	for _, damage := range []string{`{"seq":9,"time":"2026-`, "\x00\x00\x00", `{"type":7}` + "\n{}\nnull\n"} {
		f, err := os.OpenFile(r.path(fileName), os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = f.WriteString(damage)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		add(refreshed(2))
	}
	past, err := Read(dir)
	if err != nil || len(past.Lines) != 4 {
		t.Errorf("%d lines, %v", len(past.Lines), err)
	}
	if past, err := Read(t.TempDir()); err != nil || len(past.Lines) != 0 {
		t.Errorf("of nothing: %v, %v", past, err)
	}
}

// What is over stays so when the ring turns, whatever else is over after it.
func TestEndsAreRepeated(t *testing.T) {
	at := func(minute int, e event.Event) Line {
		e.Time, e.Account = day.Add(time.Duration(minute)*time.Minute), "main"
		return Line{Event: e}
	}
	got := lasting([]Line{
		at(0, event.Event{Type: event.UnknownToken}), at(1, event.Event{Type: event.LoginWaits}),
		at(2, event.Event{Type: event.Recovered, Over: event.UnknownToken}), at(3, event.Event{Type: event.Recovered, Over: event.LoginWaits}),
	})
	if len(got) != 2 || got[0].Over != event.UnknownToken || got[1].Over != event.LoginWaits {
		t.Errorf("repeated: %+v", got)
	}
	got = lasting([]Line{
		at(0, event.Event{Type: event.Refreshed, Version: 1}), at(1, event.Event{Type: event.Imported, From: "old", Version: 7}),
		at(2, event.Event{Type: event.Forgotten}), at(3, event.Event{Type: event.Refreshed, Version: 8}),
	})
	if len(got) != 3 || got[0].From != "old" || got[1].Type != event.Forgotten || got[2].Version != 8 {
		t.Errorf("repeated of a rename and a removal: %+v", got)
	}
}

// Of a file that is larger than any of a ring, which somebody else has made, the end is read.
func TestNoMoreIsReadThanARingHas(t *testing.T) {
	dir := t.TempDir()
	line, err := Line{Event: refreshed(1)}.marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileName, beforeName} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat(line, 3*DefaultSize/len(line)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past, err := Read(dir)
	if n := len(past.Lines); err != nil || n == 0 || n > DefaultSize/len(line) {
		t.Errorf("%d lines of %d bytes, %v", n, len(line), err)
	}
}

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
	past, err := Read(dir)
	if err != nil {
		t.Fatal(err)
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
	t.Logf("%d bytes for a refresh and its delivery to two sinks: %d refreshes in %d MiB", each, DefaultSize/2/each, DefaultSize>>20)
	if each > 800 {
		t.Errorf("a refresh takes %d bytes; README.md says less than 800", each)
	}
}

// A disk that takes nothing, or does not answer, holds up neither who tells nor the stop, and
// what it has cost is told once it takes something.
func TestDiskHoldsUpNobody(t *testing.T) {
	t.Run("it fails", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			w := New(Config{Dir: dir, Wall: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
			stop := running(t, w)
			for range 3 {
				w.Note(refreshed(1))
				synctest.Wait()
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			w.Note(refreshed(2))
			stop()
			past, err := Read(dir)
			if err != nil || strings.Join(types(past.Lines), " ") != "history_lost refreshed run_ended" || !strings.Contains(past.Lines[0].Message, ": 3") {
				t.Errorf("%v, %v", past.Lines, err)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("it is told so:\n%s", log.String())
			}
		})
	})
	t.Run("it hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := New(Config{Wall: time.Now, Log: quiet()})
			answers, took := make(chan struct{}), 0
			w.put = func(text []byte) error {
				<-answers
				took += bytes.Count(text, []byte("\n"))
				return fs.ErrInvalid
			}
			stop, began := running(t, w), time.Now()
			w.Note(refreshed(1))
			synctest.Wait() // the writer hangs
			for range mostWaiting + 10 {
				w.Note(refreshed(1))
			}
			if !time.Now().Equal(began) || len(w.waiting) != mostWaiting || w.lost != 10 {
				t.Errorf("after %s: %d wait, %d are lost", time.Since(began), len(w.waiting), w.lost)
			}
			stop()
			if time.Since(began) != lastWords {
				t.Errorf("the stop took %s", time.Since(began))
			}
			close(answers)
			synctest.Wait()
			if took < 1+mostWaiting+1 { // with what was lost
				t.Errorf("%d lines came to the disk", took)
			}
		})
	})
	t.Run("it is no file", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, fileName), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := (ring{dir, 1 << 10}).add([]byte("{}\n")); err == nil {
			t.Error("a folder takes it")
		}
		if _, err := Read(dir); err == nil {
			t.Error("a folder can be read")
		}
	})
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
	past, err := Read(dir)
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
