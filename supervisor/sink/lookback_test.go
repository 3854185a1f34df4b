package sink_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// emptied is a receiver that can be asked, and that holds nothing once it is
// emptied, until the next delivery.
type emptied struct {
	receiver
	lost atomic.Bool
}

func (e *emptied) Holds(context.Context, readback.Question) (readback.Held, error) {
	if e.lost.Load() {
		return readback.Held{}, sdk.ErrNothingStored
	}
	return readback.Held{Untouched: true}, nil
}

// What is lost of many accounts at once is delivered once more at the next look,
// and that costs a look at each of them, not at all of them for each.
func TestALookCostsNoListForEachAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 500
		r, out := newRecords(), &emptied{}
		b := start(t, sink.WorkerConfig{Sink: out, ReadBack: sink.ReadBack{Regularly: true}}, r)
		for i := range accounts {
			b.refresh(fmt.Sprint("a", i))
		}
		pass(time.Minute)
		r.set(func(r *records) { r.lists = 0 })
		out.lost.Store(true)
		b.Look()
		pass(time.Minute)
		if n := out.tried(); n != 2*accounts || r.lists > 1 {
			t.Errorf("%d deliveries and %d lists of all records; want %d and none for each", n, r.lists, 2*accounts)
		}
	})
}
