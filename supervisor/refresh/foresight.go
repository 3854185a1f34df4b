package refresh

import (
	"errors"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// foresight looks for what will stand in the way of a refresh.
type foresight struct {
	keeper *Keeper
	asked  schedule.Instant // when it last was
}

// ask asks, long before a token is needed, what stands in the way of its
// refresh.
func (f *foresight) ask() {
	k := f.keeper
	k.mu.Lock()
	f.asked = k.clock.Now()
	k.mu.Unlock()
	for _, a := range k.sharing {
		a.share.Foresee()
	}
	f.askSteering()
}

// tellGrantedElsewhere says it of every account, once a policy is known. The
// caller does not hold k.mu.
func (f *foresight) tellGrantedElsewhere() {
	k := f.keeper
	for _, a := range k.order {
		k.mu.Lock()
		why := ""
		if a.stored() {
			if why = a.outlook().grantedElsewhere(); why != "" {
				a.changes()
			}
		}
		k.mu.Unlock()
		if why != "" {
			a.Publish(slog.LevelError, event.Event{Type: event.RefreshPutOff, Message: "nothing is refreshed: " + why})
		}
	}
}

// askSteering tells at the start of a generation and from time to time, and so long
// before a token would be needed, of every file that is refused. This is no place to
// wait for one file after the other of a disk that does not answer.
func (f *foresight) askSteering() {
	k := f.keeper
	if len(k.nature().steering) == 0 || k.cfg.Steered == nil {
		return
	}
	began := time.Now()
	for _, a := range k.order {
		switch err := a.steered(began); { // a hundred thousand accounts may name one file
		case errors.Is(err, ErrNotLooked):
			if time.Since(began) > 3*lookPatience {
				return
			}
		case err != nil:
			a.tellUntrusted(err)
		default:
			a.Over(event.Untrusted)
		}
	}
}
