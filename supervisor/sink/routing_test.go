package sink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// A sink that no account goes to gets nothing, also of what the store holds of
// accounts that are not configured any more.
func TestNoAccountsIsNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.next("removed")
		b := start(t, sink.WorkerConfig{Sink: out, Accounts: []string{}}, r)
		b.refresh("main")
		pass(time.Minute)
		if out.tried() > 0 || b.Takes("main") {
			t.Errorf("%d deliveries to a sink without accounts", out.tried())
		}
	})
}
