package sink

import (
	"context"
	"maps"
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

// lookBack looks whether a sink that can be read back still holds what the ledger
// says.
type lookBack struct {
	*state
	looks <-chan struct{}
}

// start looks at once and at each of looks, until ctx ends or stop is called,
// which waits for it.
func (b lookBack) start(ctx context.Context) (stop func()) {
	if _, can := b.Sink.(Holder); !can || !b.ReadBack.Regularly || !b.takes(KindToken) {
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
				left = b.held()
			}
			n := min(len(left), lookAtOnce)
			for _, account := range left[:n] {
				seen[account] = b.lookAt(ctx, account, seen[account])
			}
			left = left[n:]
			select {
			case <-ctx.Done():
			case <-b.looks:
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

// held are the accounts of which the sink is thought to have the newest. The
// others are under way, and are looked at by their deliveries.
func (b lookBack) held() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.receipts[KindToken]))
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
func (b lookBack) lookAt(ctx context.Context, account string, last sighting) (now sighting) {
	b.mu.Lock()
	r, has := b.receipts[KindToken][account]
	off := b.disabled.is()
	b.mu.Unlock()
	if !has || off {
		return sighting{}
	}
	ctx, cancel := context.WithTimeout(ctx, b.Policy.Timeout)
	defer cancel()
	rec, err := b.Store.Load(ctx, account)
	if err != nil || rec.Version != r.version {
		return sighting{} // a wake is on its way
	}
	began := b.Wall()
	held, finding, err := readBack{b.destination}.look(ctx, rec, r.delivery(b.Name, account), last.since(rec.Version))
	switch {
	case err != nil:
	case finding == readback.Living:
		readBack{b.destination}.found(account)
	case finding == readback.Absent && !held.At.IsZero() && b.Wall().Sub(held.At) < halfWritten:
	case held.Untouched:
		return last
	case finding == readback.Ours && !stale(rec, held), finding == readback.Silent:
		return sighting{rec.Version, began}
	default:
		b.want(key{KindToken, account}, onceMore)
	}
	return sighting{}
}

// stale says whether the sink holds an access token that is older than ours.
func stale(rec store.Record, held readback.Held) bool {
	return !held.Document.AccessToken.Equal(rec.Token.AccessToken) && held.Document.Expiry.Before(rec.Token.Expiry())
}
