package sink

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// resting is all that is kept of a lane of which the sink has the newest and
// there is nothing more to do or to tell: of a hundred thousand accounts nearly
// all rest at any moment, at every sink.
type resting struct {
	version uint64
	at      int64 // nanoseconds since 1970
	latency time.Duration
}

// restingAt is what is kept of a line of the ledger; ok is false if that would
// not tell when it was delivered.
func restingAt(has store.Delivery) (r resting, ok bool) {
	r = resting{has.Version, has.At.UnixNano(), has.Latency}
	return r, time.Unix(0, r.at).Equal(has.At)
}

// delivery is the line of the ledger; of nothing, the zero Delivery.
func (r resting) delivery(sink, key string) store.Delivery {
	if r == (resting{}) {
		return store.Delivery{}
	}
	at := time.Unix(0, r.at).UTC()
	return store.Delivery{
		Sink: sink, Account: key, Version: r.version, At: at, Latency: r.latency,
		Result: store.ResultDelivered, TriedVersion: r.version, TriedAt: at,
	}
}

// rest lets a lane rest on which nothing is left to do after a try.
func (w *Worker) rest(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, waits := w.absence.waiting[l]
	switch {
	case w.lanes[l.key] != l: // there is nothing to bring
	case l.inFlight, l.again, l.index >= 0, waits, w.absence.probe == l:
	case l.behind(), l.refused, l.failures > 0, l.lastError != "", l.wished():
	case !l.due.IsZero(), l.notBefore.After(time.Now()):
	default:
		if r, ok := restingAt(l.delivered); ok {
			delete(w.lanes, l.key)
			l.line.resting[l.key] = r
		}
	}
}
