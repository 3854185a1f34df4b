package history

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	past, err := Read(dir, nil)
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
	past, err := Read(dir, nil)
	if err != nil || len(past.Lines) != 4 {
		t.Errorf("%d lines, %v", len(past.Lines), err)
	}
	if past, err := Read(t.TempDir(), nil); err != nil || len(past.Lines) != 0 {
		t.Errorf("of nothing: %v, %v", past, err)
	}
}

// What is over stays so when the ring turns, whatever else is over after it.
func TestEndsAreRepeated(t *testing.T) {
	at := func(minute int, e event.Event) Line {
		e.Time, e.Account = day.Add(time.Duration(minute)*time.Minute), "main"
		return Line{Event: e}
	}
	got := slices.Collect(lasting(slices.Values([]Line{
		at(0, event.Event{Type: event.UnknownToken}), at(1, event.Event{Type: event.LoginWaits}),
		at(2, event.Event{Type: event.Recovered, Over: event.UnknownToken}), at(3, event.Event{Type: event.Recovered, Over: event.LoginWaits}),
	})))
	if len(got) != 2 || got[0].Over != event.UnknownToken || got[1].Over != event.LoginWaits {
		t.Errorf("repeated: %+v", got)
	}
	got = slices.Collect(lasting(slices.Values([]Line{
		at(0, event.Event{Type: event.Refreshed, Version: 1}), at(1, event.Event{Type: event.Imported, From: "old", Version: 7}),
		at(2, event.Event{Type: event.Forgotten}), at(3, event.Event{Type: event.Refreshed, Version: 8}),
	})))
	if len(got) != 3 || got[0].From != "old" || got[1].Type != event.Forgotten || got[2].Version != 8 {
		t.Errorf("repeated of a rename and a removal: %+v", got)
	}
}

// Of a file that is larger than any of a ring, which somebody else has made, the end is read.
func TestNoMoreIsReadThanARingHas(t *testing.T) {
	dir := t.TempDir()
	for version, name := range map[uint64]string{1: beforeName, 3: fileName} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
		for n, at := range []int64{0, most / 2} {
			line, merr := Line{Event: refreshed(version + uint64(n))}.marshal()
			if _, werr := f.WriteAt(append([]byte("\n"), line...), at); errors.Join(err, merr, werr) != nil {
				t.Fatal(err, merr, werr)
			}
		}
		_ = f.Close()
	}
	past, err := Read(dir, nil)
	if err != nil || len(past.Lines) != 2 || past.Lines[0].Version != 2 || past.Lines[1].Version != 4 {
		t.Errorf("%+v, %v", past, err)
	}
}

// TestRoomForEveryAccount: of however many accounts, as far as README.md says so, two days of
// refreshes with two deliveries are kept when the ring has just turned.
func TestRoomForEveryAccount(t *testing.T) {
	const line, aDay = 800, 24 * 60 / 25 // bytes of a refresh, as TestRingIsBounded has it; every 25 minutes
	w := New(Config{Dir: t.TempDir(), Accounts: 100, Wall: func() time.Time { return day }, Log: quiet()})
	for accounts, size := range map[int]int64{0: 4 << 20, 1: 4 << 20, 16: 4 << 20, 17: 17 << 18, 100: 25 << 20, 256: 64 << 20, 300: 64 << 20, 100_000: 64 << 20} {
		if accounts == 100 && w.size.Load() != size {
			t.Errorf("at the start it has %d bytes", w.size.Load())
		}
		w.Configured(make([]string, accounts), nil)
		if got := w.size.Load(); got != size {
			t.Errorf("%d accounts have %d bytes", accounts, got)
		}
		if need := int64(accounts) * line * aDay * 2; accounts <= 300 && size/2 < need {
			t.Errorf("%d accounts need %d bytes for two days", accounts, need)
		}
		w.Configured(make([]string, 100), nil)
	}
}

// TestAsideLeavesThePast: who adds a line without a supervisor does not know how many accounts
// it has, and takes nothing of what those have filled.
func TestAsideLeavesThePast(t *testing.T) {
	dir := t.TempDir()
	r := ring{dir, sizeFor(100) / 2}
	line, err := Line{Event: refreshed(1)}.marshal()
	if err == nil {
		err = r.add(bytes.Repeat(line, 2*least/len(line)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := Aside(dir, event.Event{Time: day, Type: event.Paused, Account: "schwab-main"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.path(beforeName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has turned: %v", err)
	}
}

// TestOnlyWhatIsWanted: of many accounts, who asks for one has in memory what is told of it, and
// what tells when the history and its runs begin and end.
func TestOnlyWhatIsWanted(t *testing.T) {
	dir := t.TempDir()
	r := ring{dir, least / 2}
	at := func(minute int, is event.Type, account string) {
		t.Helper()
		if err := put(r, event.Event{Time: day.Add(time.Duration(minute) * time.Minute), Type: is, Account: account}); err != nil {
			t.Fatal(err)
		}
	}
	for n, account := range []string{"a", "b", "main", "c", "d"} {
		at(n, event.Refreshed, account)
	}
	at(10, RunBegan, "") // the one before was killed
	at(11, event.Refreshed, "e")
	at(12, RunEnded, "")
	at(13, event.Refreshed, "f") // a begin that could not be written
	at(14, event.Refreshed, "g")
	at(15, RunBegan, "")
	at(16, event.Refreshed, "h")
	at(17, event.Refreshed, "i")
	past, err := Read(dir, func(l Line) bool { return l.Account == "main" })
	said := ""
	for _, l := range past.Lines {
		said += cmp.Or(l.Account, string(l.Type)) + " "
	}
	if want := "a main d run_began run_ended f g run_began i "; err != nil || said != want || past.Gone || !past.From.Equal(day) {
		t.Errorf("%s, want %s; %+v, %v", said, want, past, err)
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
			past, err := Read(dir, nil)
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
		if _, err := Read(dir, nil); err == nil {
			t.Error("a folder can be read")
		}
	})
}
