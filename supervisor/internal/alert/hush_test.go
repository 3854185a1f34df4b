package alert

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestAcknowledge(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(5, 1))
		w.start()
		w.tell("chat")
		var closed ErrNotOpen
		if _, err := w.engine.Acknowledge(t.Context(), "needs_login:schwab"); !errors.As(err, &closed) {
			t.Errorf("of what is not open: %v", err)
		}
		if a, err := w.engine.Acknowledge(t.Context(), failingAlert); err != nil || a.Hush == nil {
			t.Fatalf("%+v, %v", a, err)
		}
		w.die() // it is durable
		w.start()
		w.pass(13 * time.Hour)
		if told := w.tell("chat"); len(told) != 0 || w.failing().Hush == nil {
			t.Errorf("told %+v", told)
		}
		w.set(down(2)) // this is news
		w.pass(time.Minute)
		if told := w.tell("chat"); len(told) != 1 || told[0].Accounts != 2 {
			t.Errorf("told %+v", told)
		}
		w.set(down(0))
		if told := w.tell("chat"); len(told) != 1 || told[0].State != event.AlertRecovered {
			t.Errorf("told %+v", told)
		}
	})
}

func TestSilence(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.notify = []string{"chat"}
		w.set2(accounts(5, 1))
		w.start()
		w.tell("chat")
		if _, err := w.engine.Silence(t.Context(), failingAlert, time.Now().Add(6*time.Hour)); err != nil {
			t.Fatal(err)
		}
		w.set(down(3))
		w.pass(5 * time.Hour)
		w.die()
		w.start()
		w.pass(59 * time.Minute)
		if told := w.tell("chat"); len(told) != 0 {
			t.Errorf("told %+v", told)
		}
		w.pass(2 * time.Minute)
		if told := w.tell("chat"); len(told) != 1 || told[0].Accounts != 3 || told[0].Hush != nil {
			t.Errorf("told %+v", told)
		}
		if _, err := w.engine.Silence(t.Context(), failingAlert, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		w.set(down(0))
		if told := w.tell("chat"); len(told) != 1 || told[0].State != event.AlertRecovered {
			t.Errorf("the end is told: %+v", told)
		}
	})
}

func TestResume(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.set2(accounts(5, 1))
		w.start()
		for _, hush := range []func() (event.Alert, error){
			func() (event.Alert, error) { return w.engine.Acknowledge(t.Context(), failingAlert) },
			func() (event.Alert, error) {
				return w.engine.Silence(t.Context(), failingAlert, time.Now().Add(48*time.Hour))
			},
		} {
			before := w.failing()
			if _, err := hush(); err != nil {
				t.Fatal(err)
			}
			w.pass(5 * time.Hour)
			if a := w.failing(); a.Version != before.Version {
				t.Errorf("told: %+v", a)
			}
			if a, err := w.engine.Resume(t.Context(), failingAlert); err != nil || a.Hush != nil {
				t.Errorf("%+v, %v", a, err)
			}
			w.look()
			if a := w.failing(); a.Version == before.Version || a.State != event.AlertRepeated {
				t.Errorf("not repeated: %+v", a)
			}
		}
	})
}
