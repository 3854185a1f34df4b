package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// filesMustHold fails the test unless each file has these lines; none: it is not there.
func filesMustHold(t *testing.T, want map[string]string) {
	t.Helper()
	for path, lines := range want {
		got, err := os.ReadFile(path)
		if err != nil && lines != "" || string(got) != lines {
			t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, lines)
		}
	}
}

// A log that somebody moves away goes on in a file of its own, and where that can't be
// in the old one.
func TestLogThatWasMovedAway(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	f, err := openLog(config.Log{File: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.file.Close() }()
	add := func(line string) {
		t.Helper()
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	add("one\n")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, log, "made\n") // by who moved the other away
	add("two\n")
	add("three\n")
	filesMustHold(t, map[string]string{log + ".1": "one\n", log: "made\ntwo\nthree\n"})

	if err := os.Rename(log, log+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(log, 0o700); err != nil {
		t.Fatal(err)
	}
	add("four\n")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	add("five\n")
	filesMustHold(t, map[string]string{log + ".2": "made\ntwo\nthree\nfour\n", log: "five\n"})
}

// A log moves itself away by its size and its age, and keeps so many files.
func TestLogThatMovesItselfAway(t *testing.T) {
	half := strings.Repeat("x", 1<<19-1) + "\n"
	for keep, want := range map[int]map[string]string{
		0: {"log": "last\n"},
		1: {"log": "last\n", "log.1": half + half},
		2: {"log": "last\n", "log.1": half + half, "log.2": half + half},
	} {
		dir := t.TempDir()
		f, err := openLog(config.Log{File: filepath.Join(dir, "log"), MaxMegabytes: 1, Keep: keep})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{half, half, half, half, half, half, "last\n"} {
			if _, err := f.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.file.Close()
		for _, name := range []string{"log", "log.1", "log.2", "log.3"} {
			filesMustHold(t, map[string]string{filepath.Join(dir, name): want[name]})
		}
	}

	log := filepath.Join(t.TempDir(), "log")
	f, err := openLog(config.Log{File: log, MaxAge: time.Hour, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.file.Close() }()
	for _, line := range []string{"one\n", "two\n"} {
		f.began = time.Now().Add(-59 * time.Minute)
		_, _ = f.Write([]byte(line))
	}
	f.began = time.Now().Add(-time.Hour)
	_, _ = f.Write([]byte("new\n"))
	filesMustHold(t, map[string]string{log + ".1": "one\ntwo\n", log: "new\n"})
	if age := time.Since(f.began); age > time.Minute {
		t.Errorf("the new file is %s old", age)
	}
}

// TestLogrotate: what the folder of the unit has for it does what it says.
func TestLogrotate(t *testing.T) {
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		t.Skip("logrotate is not installed")
	}
	dir := t.TempDir()
	log, rules := filepath.Join(dir, "tokenkeeper.log"), filepath.Join(dir, "rules")
	text := readText(t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.logrotate"))
	write(t, rules, strings.ReplaceAll(text, "/var/lib/tokenkeeper/tokenkeeper.log", log))
	logger, closer, err := newLogger(config.Log{Level: "info", Format: "text", File: log}, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	for turn, line := range []string{"one", "two", "three"} {
		logged(t, logger, log, line)
		if turn == 2 {
			break
		}
		if out, err := exec.CommandContext(t.Context(), logrotate, "--force", "--state", filepath.Join(dir, "state"), rules).CombinedOutput(); err != nil {
			t.Fatalf("logrotate: %v\n%s", err, out)
		}
	}
	_ = closer.Close()
	for name, line := range map[string]string{log: "three", log + ".1": "two"} {
		if got := readText(t, name); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg="+line) {
			t.Errorf("%s holds %q, want %s", name, got, line)
		}
	}
	if _, err := os.Stat(log + ".2.gz"); err != nil {
		t.Error(err)
	}
}

// TestLogrotateThatCuts: a log that is copied and cut goes on at its beginning, without a
// hole before what comes then.
func TestLogrotateThatCuts(t *testing.T) {
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		t.Skip("logrotate is not installed")
	}
	dir := t.TempDir()
	log, rules := filepath.Join(dir, "tokenkeeper.log"), filepath.Join(dir, "rules")
	write(t, rules, log+" {\n\tweekly\n\trotate 2\n\tcopytruncate\n}\n")
	logger, closer, err := newLogger(config.Log{Level: "info", Format: "text", File: log}, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	logged(t, logger, log, "one")
	if out, err := exec.CommandContext(t.Context(), logrotate, "--force", "--state", filepath.Join(dir, "state"), rules).CombinedOutput(); err != nil {
		t.Fatalf("logrotate: %v\n%s", err, out)
	}
	logged(t, logger, log, "two")
	_ = closer.Close()
	for name, line := range map[string]string{log: "two", log + ".1": "one"} {
		if got := readText(t, name); !strings.HasPrefix(got, "time=") || strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg="+line) {
			t.Errorf("%s holds %q, want %s", name, got, line)
		}
	}
}

// logged logs a line, and waits until it is in the file.
func logged(t *testing.T, logger *slog.Logger, file, line string) {
	t.Helper()
	logger.Info(line)
	waittest.Until(t, "the line is in the file", func() bool {
		got, _ := os.ReadFile(file)
		return strings.Contains(string(got), "msg="+line)
	})
}

// A log that can't be moved away costs none of those that are kept, however often it is
// tried.
func TestLogThatCantBeMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := openLog(config.Log{File: path, MaxMegabytes: 1, Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer f.file.Close()
	write(t, path+".1", "the newest\n")
	write(t, path+".2", "the one before\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := f.moveAway(); err == nil {
			t.Fatal("what is not there was moved away")
		}
	}
	if newest, before := readText(t, path+".2"), readText(t, path+".3"); newest != "the newest\n" || before != "the one before\n" {
		t.Errorf("kept are %q and %q", newest, before)
	}
}
