package configfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
)

const text = "accounts: {a: {provider: schwab, client_id: id, client_secret: s}}\n"

// world is a file, and how often it was read.
type world struct {
	t     *testing.T
	path  string
	reads atomic.Int32
	// before, if it is set, is called before each reading.
	before func()
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "tk.yaml")}
	w.put(text)
	return w
}

func (w *world) put(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// at gives the file a time at which it was written.
func (w *world) at(at time.Time) {
	w.t.Helper()
	if err := os.Chtimes(w.path, at, at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load() (*config.Config, error) {
	cfg, _, err := config.Load(config.Source{Path: w.path, Comparable: true, Environ: func() []string { return []string{"HOME=/root"} }})
	return cfg, err
}

// open returns the file of a supervisor that was started at started.
func (w *world) open(started time.Time) *configfile.File {
	w.t.Helper()
	running, err := w.load()
	if err != nil {
		w.t.Fatal(err)
	}
	return configfile.New(configfile.Config{Running: running, Started: started, Wall: time.Now, Read: func() (*config.Config, error) {
		w.reads.Add(1)
		if w.before != nil {
			w.before()
		}
		return w.load()
	}})
}

func TestWhatTheFileSays(t *testing.T) {
	started := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name, tt := range map[string]struct {
		text   string
		at     time.Time
		seen   string // the difference
		err    string
		undone bool // it can't be told when
	}{
		"the same":              {text: text},
		"a remark":              {text: text + "# a remark\n"},
		"a secret":              {text: strings.Replace(text, ": s}", ": canary}", 1), seen: "account a changed (client_secret)"},
		"an account":            {text: strings.Replace(text, "a: {", "b: {", 1), seen: "account b is new; account a is gone"},
		"no configuration":      {text: "acounts: [", err: "not valid YAML"},
		"a mistake":             {text: text + "nonsense: canary\n", err: "nonsense: unknown key"},
		"put there from a copy": {text: text + "log: {level: debug}\n", at: started.Add(-time.Hour), seen: "log.level changed", undone: true},
		"from the future":       {text: text + "log: {level: debug}\n", at: time.Now().Add(time.Hour), seen: "log.level changed", undone: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f := w.open(started)
			w.put(tt.text)
			if tt.at.IsZero() {
				tt.at = started.Add(time.Minute)
			}
			w.at(tt.at)
			looked, err := f.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for how, seen := range map[string]configfile.Seen{"at a look": looked, "at a glance": f.Glance()} {
				changed := tt.seen+tt.err != ""
				if seen.Changed != changed || seen.Difference.String() != tt.seen || (seen.Err != nil) != (tt.err != "") {
					t.Errorf("%s: %+v", how, seen)
				}
				if seen.Err != nil && (!strings.Contains(seen.Err.Error(), tt.err) || strings.Contains(seen.Err.Error(), "canary")) {
					t.Errorf("%s: %v", how, seen.Err)
				}
				if want := changed && !tt.undone; want != seen.ChangedAt.Equal(tt.at) || !want && !seen.ChangedAt.IsZero() {
					t.Errorf("%s: written at %s", how, seen.ChangedAt)
				}
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	w := newWorld(t)
	running, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	f := configfile.New(configfile.Config{Running: running, Wall: time.Now})
	if _, err := f.Look(t.Context()); !errors.Is(err, configfile.ErrNone) {
		t.Errorf("%v", err)
	}
	if seen := f.Glance(); seen.Changed {
		t.Errorf("%+v", seen)
	}
	w.put(text + "log: {level: debug}\n")
	if seen := f.Glance(); !seen.Changed || !seen.Difference.IsZero() {
		t.Errorf("%+v", seen)
	}
}

// Whoever asks often has a file that is the same not read, and one that is not only
// from time to time, unless it was written again.
func TestGlancesAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		w := newWorld(t)
		f := w.open(started)
		for range 3 {
			f.Glance()
		}
		if n := w.reads.Load(); n != 0 {
			t.Errorf("a file that is the same was read %d times", n)
		}
		w.before = func() { time.Sleep(100 * time.Millisecond) }
		glance := func(reads int32, want string) {
			t.Helper()
			if seen := f.Glance(); seen.Difference.String() != want || w.reads.Load() != reads {
				t.Errorf("%s, after the file was read %d times; want %d", seen.Difference, w.reads.Load(), reads)
			}
		}
		time.Sleep(time.Hour)
		w.put(text + "log: {level: debug}\n")
		w.at(started.Add(time.Minute))
		glance(1, "log.level changed")
		time.Sleep(time.Second)
		glance(1, "log.level changed")
		w.put(text + "log: {level: warn, format: json}\n")
		w.at(started.Add(2 * time.Minute))
		glance(2, "log.format, log.level changed")
		time.Sleep(time.Minute)
		glance(3, "log.format, log.level changed")
	})
}

// A file system that hangs, or a configuration of very many accounts, holds up nobody
// who glances, and is read once; who wants to know waits, and gets what stands there
// when he asks.
func TestSlowReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.open(time.Time{})
		w.put(text + "log: {level: debug}\n")
		hold := make(chan struct{})
		w.before = func() { <-hold }
		begun := time.Now()
		for range 2 {
			if seen := f.Glance(); !seen.Changed || !seen.Difference.IsZero() || seen.Err != nil {
				t.Errorf("%+v", seen)
			}
		}
		if took := time.Since(begun); took > 3*time.Second || w.reads.Load() != 1 {
			t.Errorf("two glances took %s, and the file was read %d times", took, w.reads.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Look(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		before := runtime.NumGoroutine()
		for range 10 {
			given, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := f.Look(given); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		if left := runtime.NumGoroutine() - before; left > 5 {
			t.Errorf("ten looks that were given up have left %d goroutines behind", left)
		}
		looked := make(chan configfile.Seen)
		go func() {
			seen, err := f.Look(t.Context())
			if err != nil {
				t.Error(err)
			}
			looked <- seen
		}()
		synctest.Wait()
		if n := w.reads.Load(); n != 1 {
			t.Errorf("it is read %d times at once", n)
		}
		close(hold)
		if seen := <-looked; seen.Difference.String() != "log.level changed" || w.reads.Load() < 2 {
			t.Errorf("%+v, read %d times", seen, w.reads.Load())
		}
		synctest.Wait() // the first glance's reading has come back, too
		if seen := f.Glance(); seen.Difference.String() != "log.level changed" {
			t.Errorf("%+v", seen)
		}
	})
}

// The one that keeps the tokens survives what it reads.
func TestPanicOfAReading(t *testing.T) {
	w := newWorld(t)
	f := w.open(time.Time{})
	w.before = func() { panic("canary") }
	seen, err := f.Look(t.Context())
	if err != nil || seen.Err == nil || !strings.Contains(seen.Err.Error(), "panic of type string") || strings.Contains(seen.Err.Error(), "canary") {
		t.Errorf("%+v, %v", seen, err)
	}
}

// That a reload failed is forgotten once one works, or the file is seen to say what runs
// again; not as long as it can't be looked at, nor if not all that ran goes on.
func TestFailure(t *testing.T) {
	const other, remark = text + "log: {level: debug}\n", text + "# a remark\n"
	for name, tt := range map[string]struct {
		then  string // what the file says after the failure; "": it can't be read
		half  bool
		runs  bool // a reload works
		lasts bool
	}{
		"the same goes on":                {then: other, lasts: true},
		"another mistake":                 {then: "acounts: [", lasts: true},
		"it is taken back":                {then: text},
		"it is taken back, with a remark": {then: remark},
		"it can't be read":                {lasts: true},
		"a reload works":                  {then: other, runs: true},
		"half of it, and taken back":      {then: text, half: true, lasts: true},
		"half of it, and with a remark":   {then: remark, half: true, lasts: true},
		"half of it, and a reload works":  {then: other, half: true, runs: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f := w.open(time.Time{})
			if f.Failure() != nil {
				t.Error("there is one before any reload")
			}
			w.put(other)
			before := time.Now()
			f.Failed(errors.New("tk.yaml:1:1: one\ntk.yaml:2:1: two"), tt.half)
			if got := f.Failure(); got == nil || got.Why != "tk.yaml:1:1: one" || got.At.Before(before) {
				t.Errorf("%+v", got)
			}
			if w.put(tt.then); tt.then == "" {
				if err := errors.Join(os.Remove(w.path), os.Symlink(w.path, w.path)); err != nil { // which leads nowhere
					t.Fatal(err)
				}
			}
			if tt.runs {
				cfg, err := w.load()
				if err != nil {
					t.Fatal(err)
				}
				f.Runs(cfg)
			}
			if got := f.Failure(); (got != nil) != tt.lasts {
				t.Errorf("%+v", got)
			}
			if err := os.Remove(w.path); err != nil {
				t.Fatal(err)
			}
			if w.put(other); !tt.runs && !tt.lasts && f.Failure() != nil {
				t.Error("what was over is there again")
			}
		})
	}
}
