package sink

import (
	"context"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// lookAtOnce is how many accounts one look is about, so that many sinks of
	// many accounts cost no more than that at a time.
	lookAtOnce = 1000
	// halfWritten is how young what can't be read may be for somebody to be
	// writing it at this moment.
	halfWritten = 5 * time.Second
)

// Look has a sink that is read back regularly looked at soon. It never blocks.
func (w *Worker) Look() {
	select {
	case w.looks <- struct{}{}:
	default:
	}
}

// lookBack looks at once and at each call of Look whether the sink still holds
// what the ledger says, until ctx ends or stop is called, which waits for it.
func (w *Worker) lookBack(ctx context.Context) (stop func()) {
	if _, can := w.cfg.Sink.(Holder); !can || !w.cfg.ReadBack.Regularly || w.tokens == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var left []string
		seen := map[string]sighting{}
		for ctx.Err() == nil {
			if len(left) == 0 {
				left = w.resting()
			}
			n := min(len(left), lookAtOnce)
			for _, account := range left[:n] {
				seen[account] = w.lookAt(ctx, account, seen[account])
			}
			left = left[n:]
			select {
			case <-ctx.Done():
			case <-w.looks:
			}
		}
	}()
	return func() {
		cancel()
		select { // a disk that hangs must not hold up the end
		case <-done:
		case <-time.After(lastGrace):
		}
	}
}

// resting are the accounts of which the sink is thought to have the newest. The
// others are under way, and are looked at by their deliveries.
func (w *Worker) resting() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.tokens.resting))
	for name := range w.tokens.resting {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sighting is when the sink was last seen to hold a version. The time of our own
// delivery would not do: what is written over a file between that and the
// ledger's line would count as ours.
type sighting struct {
	version uint64
	at      time.Time
}

// since is from when on a change of what is held would be a later one, of the
// version that is looked for; the zero time: nobody has looked yet.
func (s sighting) since(version uint64) time.Time {
	if s.version != version || s.at.IsZero() {
		return time.Time{}
	}
	return s.at.Add(-coarseClock)
}

// coarseClock is more than the clock of a file system lags behind.
const coarseClock = time.Second

// lookAt has what is newest delivered once more if the sink does not hold it,
// and returns what it has seen. The delivery then decides whether it may be
// written.
func (w *Worker) lookAt(ctx context.Context, account string, last sighting) (now sighting) {
	w.mu.Lock()
	r, rests := w.tokens.resting[account]
	off := w.disabled.is()
	w.mu.Unlock()
	if !rests || off {
		return sighting{}
	}
	ctx, cancel := context.WithTimeout(ctx, w.policy.Timeout)
	defer cancel()
	rec, err := w.cfg.Store.Load(ctx, account)
	if err != nil || rec.Version != r.version {
		return sighting{} // a wake is on its way
	}
	began := w.cfg.Wall()
	held, finding, err := w.held(ctx, rec, r.delivery(w.cfg.Name, account), last.since(rec.Version))
	switch {
	case err != nil:
	case finding == readback.Living:
		w.found(account)
	case finding == readback.Absent && !held.At.IsZero() && w.cfg.Wall().Sub(held.At) < halfWritten:
	case held.Untouched:
		return last
	case finding == readback.Ours && !stale(rec, held), finding == readback.Silent:
		return sighting{rec.Version, began}
	default:
		_, _ = w.Redeliver(ctx, account)
	}
	return sighting{}
}

// stale says whether the sink holds an access token that is older than ours.
func stale(rec store.Record, held readback.Held) bool {
	return !held.Document.AccessToken.Equal(rec.Token.AccessToken) && held.Document.Expiry.Before(rec.Token.Expiry())
}
