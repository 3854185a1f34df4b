package refresh

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// foresight looks for what will stand in the way of a refresh.
type foresight struct {
	lock     sync.Locker // of the accounts
	clock    *schedule.Clock
	known    *acquaintance
	accounts []*account
	peeks    *peeks
	// steered says that files which steer the provider are judged.
	steered bool
	asked   schedule.Instant // when it last was
}

// ask asks, long before a token is needed, what stands in the way of its
// refresh, and looks at the shared files.
func (f *foresight) ask() {
	f.lock.Lock()
	f.asked = f.clock.Now()
	f.lock.Unlock()
	f.peeks.all(true)
	f.askSteering()
}

// tellGrantedElsewhere says it of every account, once a policy is known. The
// caller does not hold k.mu.
func (f *foresight) tellGrantedElsewhere() {
	for _, a := range f.accounts {
		f.lock.Lock()
		why := ""
		if a.stored() {
			if why = a.outlook().grantedElsewhere(); why != "" {
				a.changes()
			}
		}
		f.lock.Unlock()
		if why != "" {
			a.Publish(slog.LevelError, event.Event{Type: event.RefreshPutOff, Message: "nothing is refreshed: " + why})
		}
	}
}

// tellLimits says of each account that would have had its turn that it waits for its broker's
// limit.
func (f *foresight) tellLimits() {
	type told struct {
		*account
		event.Event
	}
	var all []told
	f.lock.Lock()
	if now := f.clock.Now().Wall; f.known.nature().limits != (sdk.Limits{}) {
		for _, a := range f.accounts {
			if e, is := (limited{a}).news(now); is {
				all = append(all, told{a, e})
			}
		}
	}
	f.lock.Unlock()
	for _, t := range all {
		t.Publish(slog.LevelInfo, t.Event)
	}
}

// askSteering tells at the start of a generation and from time to time, and so long
// before a token would be needed, of every file that is refused. This is no place to
// wait for one file after the other of a disk that does not answer.
func (f *foresight) askSteering() {
	if len(f.known.nature().steering) == 0 || !f.steered {
		return
	}
	began := time.Now()
	for _, a := range f.accounts {
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
