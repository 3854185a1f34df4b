package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
)

// Of a supervisor that is there and does not answer it is said whether it starts or stops,
// and a program is told that it is worth asking again.
func TestVerbsWhileOneStartsOrStops(t *testing.T) {
	dir := t.TempDir()
	path, log := filepath.Join(dir, "tk.yaml"), slog.New(slog.DiscardHandler)
	write(t, path, "state_dir: "+filepath.Join(dir, "state")+"\n")
	d, err := statedir.Open(statedir.Config{Path: filepath.Join(dir, "state"), Wall: time.Now, Events: event.NewBus(log, time.Now), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		want = fmt.Sprintf("a supervisor (PID %d) %s", os.Getpid(), want)
		for args, code := range map[string]int{"status": exitFailure, "token main": exitFailure, "token main --min-valid 5m": exitLater, "token main --if-version 3": exitLater} {
			if got := command(t, "", append(strings.Fields(args), "-c", path)...); got.code != code || !strings.Contains(inOneLine(got.stderr), want) {
				t.Errorf("%s: %+v, want %d and %q", args, got, code, want)
			}
		}
	}
	says("is starting: ")
	d.Started()
	says("runs, but its control socket ")
	d.Stops()
	says("is stopping: ")
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
