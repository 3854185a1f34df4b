package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// asJournal is a file that this process takes for the journal.
func asJournal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	return f
}

// Lines have the priorities of their levels in the journal, and no time of their
// own; the log's file is as ever.
func TestLogInTheJournal(t *testing.T) {
	for format, want := range map[string][]string{
		"text": {`<6>level=INFO msg=one of=7`, `<4>level=WARN msg=two of=7`, `<3>level=ERROR msg=three of=7`},
		"json": {`<6>{"time":"T","level":"INFO","msg":"one","of":7}`, `<4>{"time":"T","level":"WARN","msg":"two","of":7}`, `<3>{"time":"T","level":"ERROR","msg":"three","of":7}`},
	} {
		journal, file := asJournal(t), filepath.Join(t.TempDir(), "log")
		log, closer, err := newLogger(config.Log{Level: "info", Format: format, File: file}, journal)
		if err != nil {
			t.Fatal(err)
		}
		log = log.With("of", 7)
		log.Debug("none")
		log.Info("one")
		log.Warn("two")
		log.Error("three")
		_ = closer.Close()
		stamp := regexp.MustCompile(`"time":"[^"]+"`)
		if got := stamp.ReplaceAllString(readText(t, journal.Name()), `"time":"T"`); got != strings.Join(want, "\n")+"\n" {
			t.Errorf("%s: the journal gets\n%s", format, got)
		}
		if got := readText(t, file); strings.Count(got, "\n") != 3 || !strings.Contains(got, "time") || strings.Contains(got, "<") {
			t.Errorf("%s: the file gets\n%s", format, got)
		}
	}
}

// What ends the program before there is a log is an error there too, in each of its
// lines.
func TestFailureInTheJournal(t *testing.T) {
	journal := asJournal(t)
	e := newEnv(strings.NewReader(""), journal, journal)
	e.warn("careful")
	e.fail(exitUsage, fmt.Errorf("two problems:\none\nanother"))
	if got, want := readText(t, journal.Name()), "<4>tokenkeeper: warning: careful\n<3>tokenkeeper: two problems:\n<3>one\n<3>another\n"; got != want {
		t.Errorf("the journal gets\n%s\nwant\n%s", got, want)
	}
	t.Setenv("JOURNAL_STREAM", "1:1") // that of another process, which this one has inherited
	if isJournal(journal, os.Getenv) {
		t.Error("another file is taken for the journal")
	}
}
