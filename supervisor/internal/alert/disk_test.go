package alert

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// When the disk is what is wrong, people hear of it all the same.
func TestDiskFailsWhileRaising(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(w.account(calm))
		w.start()
		w.setDisk(errors.New("no space left on device"))
		w.set(func(s *Snapshot) { s.StoreFault = "no space left on device" })
		raised := w.want(event.AlertRaised, false)
		if told := w.tell("chat"); len(told) != 1 || !same(told[0], raised) || raised.Key != "disk_trouble:*" {
			t.Fatalf("told: %+v", told)
		}
		w.pass(4 * time.Hour)
		repeated := w.want(event.AlertRepeated, false)
		w.setDisk(nil)
		w.look()
		if a := w.want(event.AlertRepeated, true); !same(a, repeated) {
			t.Errorf("stored %+v, want %+v", a, repeated)
		}
		w.set(func(s *Snapshot) { s.StoreFault = "" })
		w.want(event.AlertRecovered, true)
		if told := w.tell("chat"); len(told) != 1 || told[0].State != event.AlertRecovered {
			t.Errorf("told: %+v", told)
		}
		w.look()
		w.none()
	})
}

// A disk that hangs holds nobody up either.
func TestDiskHangs(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(w.account(calm))
		w.start()
		hang := make(chan struct{})
		w.mu.Lock()
		w.hang = hang
		w.mu.Unlock()
		w.set(w.account(needsLogin))
		w.none()
		time.Sleep(savePatience)
		synctest.Wait()
		w.want(event.AlertRaised, false)
		w.set(func(s *Snapshot) { s.Sinks = []Sink{{Name: "hook", Gone: true}} })
		if all, err := w.engine.Alerts(t.Context()); err != nil || len(all) != 2 {
			t.Errorf("%d alerts, want 2 (%v)", len(all), err)
		}
		w.mu.Lock()
		w.hang = nil
		w.mu.Unlock()
		close(hang)
		synctest.Wait()
		w.look()
		if stored, err := w.memory.Alerts(t.Context()); err != nil || len(stored) != 2 {
			t.Errorf("stored: %+v (%v)", stored, err)
		}
	})
}

// Where the store says that its disk hangs, people hear of it before it is tried there.
func TestDiskThatHangsIsToldAtOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.start()
		hang := make(chan struct{})
		w.mu.Lock()
		w.hang = hang
		w.mu.Unlock()
		w.set(func(s *Snapshot) { s.StoreFault = "a write does not come back" })
		if all, err := w.engine.Alerts(t.Context()); err != nil || len(all) != 1 || all[0].Type != event.DiskTrouble {
			t.Errorf("shown at once: %+v (%v)", all, err)
		}
		w.want(event.AlertRaised, false)
		w.mu.Lock()
		w.hang = nil
		w.mu.Unlock()
		close(hang)
		synctest.Wait()
		if stored, err := w.memory.Alerts(t.Context()); err != nil || len(stored) != 1 {
			t.Errorf("stored: %+v (%v)", stored, err)
		}
	})
}
