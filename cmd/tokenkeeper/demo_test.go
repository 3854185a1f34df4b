package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// The demo has a folder of its own, whatever somebody has exported for a supervisor of
// theirs: in that one's store it would leave the tokens of a simulator.
func TestDemoIsAlone(t *testing.T) {
	theirs, dir := t.TempDir(), t.TempDir()
	t.Setenv("TOKENKEEPER_STATE_DIR", theirs)
	t.Setenv("TOKENKEEPER_LOG__FILE", filepath.Join(theirs, "log"))
	w, err := newDemoWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	e := newEnv(nil, io.Discard, io.Discard)
	cfg, err := e.loadFrom(alone(e.source(w.config)))
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{cfg.StateDir, cfg.Control.Socket} {
		if !strings.HasPrefix(place, dir) {
			t.Errorf("the demo uses %s", place)
		}
	}
	if cfg.Log.File != "" {
		t.Errorf("it logs to %s", cfg.Log.File)
	}
	if theirs, err := e.loadFrom(e.source(w.config)); err == nil && theirs.StateDir == cfg.StateDir {
		t.Error("what is exported counts nowhere")
	}
}
