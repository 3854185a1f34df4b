package ownership_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// ledger notes an owner.
type ledger struct{ owner machine.Owner }

func (l *ledger) Owner(context.Context) (machine.Owner, error) { return l.owner, nil }

func (l *ledger) SaveOwner(_ context.Context, o machine.Owner) error {
	l.owner = o
	return nil
}

// A machine's store that is found in a container spends nothing before a person has
// adopted it there, or has said that nobody shall look; both are told, with the machine.
// From then on it is nobody's, and moves as one that never was anybody's.
func TestStoreOfAMachineInAContainer(t *testing.T) {
	vm := machine.Facts{ID: strings.Repeat("1", 32), Product: "p", Host: "vm-1"}
	container := func(host string) machine.Facts {
		return machine.Facts{Product: "p", Host: host, Contained: "/.dockerenv"}
	}
	store := &ledger{}
	log := slog.New(slog.DiscardHandler)
	start := func(guard string, f machine.Facts) *ownership.Ownership {
		t.Helper()
		o, err := ownership.Recognise(t.Context(), ownership.Config{
			Guard: guard, Machine: f, Store: store, Changed: func(*refresh.Hold) {}, Events: event.NewBus(log, time.Now), Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	free := func(o *ownership.Ownership, where string) {
		t.Helper()
		if o.Hold() != nil || o.Status().Other {
			t.Errorf("%s: %+v, %+v", where, o.Hold(), o.Status())
		}
	}
	free(start(machine.Auto, container("first")), "nobody's, in a container")
	free(start(machine.Auto, container("second")), "nobody's, in another")
	free(start(machine.Auto, vm), "on the machine")
	free(start(machine.Off, container("third")), "the machine's, and nobody shall look")
	for _, name := range []string{"fourth", "fifth"} {
		o := start(machine.Auto, container(name))
		h := o.Hold()
		if h == nil || !o.Status().Other || !strings.Contains(o.Status().Owner, "vm-1") {
			t.Fatalf("the machine's, in a container: %+v, %+v", h, o.Status())
		}
		for _, want := range []string{"vm-1", "a container", "tokenkeeper adopt", "machine_guard: off"} {
			if !strings.Contains(h.Reason, want) {
				t.Errorf("%q is not in: %s", want, h.Reason)
			}
		}
	}
	free(start(machine.Auto, vm), "back on the machine, which nobody has asked")
	o := start(machine.Auto, container("sixth"))
	got, err := o.Adopt(t.Context())
	if err != nil || !got.Adopted || !strings.Contains(got.From, "vm-1") || !strings.Contains(got.To, "a container") {
		t.Errorf("adopted: %+v, %v", got, err)
	}
	free(o, "adopted")
	if o.Status().Unguarded == "" {
		t.Errorf("adopted: %+v", o.Status())
	}
	free(start(machine.Auto, container("seventh")), "adopted, in another container")
}
