package programs

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A program that is replaced under the one that runs is told of once, and not while
// there is none.
func TestReplacedProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	put := func(text string) { // as mv does
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o700), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	runs, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(path) // as the process does, so that its inode is nobody else's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	var log bytes.Buffer
	o, logger := newOwn(path, runs), slog.New(slog.NewTextHandler(&log, nil))
	look := func() (replaced bool) {
		o.Look(logger)
		return o.Replaced()
	}
	if look() {
		t.Error("it is called another although it is the same")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if look() {
		t.Error("one that is missing is called another")
	}
	put("two")
	for range 2 {
		if !look() {
			t.Error("another program is called the same")
		}
	}
	if got := log.String(); strings.Count(got, "another program") != 1 || !strings.Contains(got, "until the service is restarted") {
		t.Errorf("the log: %s", got)
	}
	if own := OwnProgram(); own.Replaced() || own.Path() == "" || own.runs == nil {
		t.Errorf("of the test itself: %+v", own)
	}
}
