package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// A delivery that is under way when the demo ends is waited for: what it says of its
// sinks is of one version.
func TestDemoEndsWhenAllIsDelivered(t *testing.T) {
	var asked atomic.Int64
	f := &fake{status: func() control.Status {
		d := control.Delivery{Sink: "file", Status: sink.Status{Version: 4}, Behind: 1}
		if asked.Add(1) > 2 {
			d.Version, d.Behind = 5, 0
		}
		return control.Status{Accounts: []control.Account{{Name: "main", Sinks: []control.Delivery{d}}}}
	}}
	socket, bus, stop := serve(t, f)
	defer stop()
	c := control.NewClient(socket)
	defer c.Close()
	events := bus.Subscribe(2)
	defer events.Close()
	for range 2 {
		bus.Publish(slog.LevelInfo, event.Event{Type: event.Delivered})
	}
	st, err := whenDelivered(t.Context(), c, events)
	if err != nil || asked.Load() != 3 || st.Accounts[0].Sinks[0].Version != 5 {
		t.Errorf("asked %d times: %+v, %v", asked.Load(), st.Accounts, err)
	}
}

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
