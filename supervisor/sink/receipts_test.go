package sink_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Of accounts of which the sink has the newest a receipt is kept, whether they were delivered
// now or before the start, and nothing that people see or want depends on it.
func TestOfUpToDateAccountsAReceiptIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		const accounts = 100
		for i := range accounts {
			b.refresh(fmt.Sprint("a", i))
		}
		check := func(when string, b *bench, tries, awake int) {
			t.Helper()
			pass(time.Minute)
			if out.tried() != tries || b.Awake() != awake || b.InHand() > 0 {
				t.Errorf("%s: %d tries, %d entries and %d in hand; want %d, %d and none", when, out.tried(), b.Awake(), b.InHand(), tries, awake)
			}
			if s := b.Summary(); s.Accounts != accounts || s.UpToDate != accounts-awake || b.Miscounted() {
				t.Errorf("%s: %+v", when, s)
			}
		}
		check("delivered", b, accounts, 0)
		before := b.Status("a7")
		if before.Version != 1 || before.DeliveredAt.IsZero() || before.Expiry.IsZero() {
			t.Errorf("of an account that rests is said %+v", before)
		}
		b.stop()

		b = start(t, sink.WorkerConfig{Sink: out}, r)
		check("started again", b, accounts, 0)
		if now := b.Status("a7"); now.Version != 1 || !now.DeliveredAt.Equal(before.DeliveredAt) || now.Latency != before.Latency || !now.Expiry.Equal(before.Expiry) {
			t.Errorf("after the start %+v, before it %+v", now, before)
		}
		b.Wake("a7")
		check("woken for nothing", b, accounts, 0)
		if n, err := b.Redeliver(t.Context(), "a7"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		check("wished for", b, accounts+1, 0)

		out.set(func(context.Context, sink.Delivery) error { return sink.ErrRefused })
		b.refresh("a7")
		check("refused", b, accounts+2, 1)
		if st := b.Status("a7"); st.Version != 1 || st.Failures != 1 {
			t.Errorf("refused: %+v", st)
		}
		b.Wake("a7")
		check("refused, and woken for nothing", b, accounts+2, 1)
		out.set(nil)
		b.refresh("a7")
		check("the next version", b, accounts+3, 0)
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrAbsent })
		if _, err := b.Redeliver(t.Context(), "a7"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if b.Awake() != 1 || !b.Status("a7").Absent {
			t.Errorf("a wish that waits for the consumer rests: %+v", b.Status("a7"))
		}
		out.set(nil)
		pass(time.Minute)
		if b.Awake() != 0 || b.Summary().Absent {
			t.Errorf("the consumer came, and there are %d entries", b.Awake())
		}
	})
}

// A line of the ledger whose time does not fit a receipt
// is neither lost nor delivered again.
func TestOddTimesInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.next("a")
		at := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		r.ledger["bot"] = map[string]store.Delivery{"a": {Sink: "bot", Account: "a", Version: 1, At: at}}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Minute)
		if st := b.Status("a"); out.tried() > 0 || !st.DeliveredAt.Equal(at) {
			t.Errorf("%d tries, and the status is %+v", out.tried(), st)
		}
	})
}

// A delivery that was left behind by an earlier run is not overtaken, though
// nothing of its account was kept before but a receipt.
func TestLeftBehindDeliveryOfAnAccountWithAReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		r, out := newRecords(), &receiver{}
		w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Type: "memory", Sink: out, Store: r})
		run := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_ = w.Run(ctx)
		}
		r.next("a")
		run(time.Minute)
		out.set(func(context.Context, sink.Delivery) error { <-let; return nil })
		if _, err := w.Redeliver(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		run(time.Second) // the wish hangs, and is left behind
		r.next("a")
		w.Wake("a")
		run(time.Second)
		if out.tried() != 2 || len(out.faults) > 0 || w.InHand() != 1 {
			t.Errorf("%d tries and %d in hand; want 2 and 1; %q", out.tried(), w.InHand(), out.faults)
		}
		close(let)
		run(time.Hour)
		if vs := out.versions("a"); vs[len(vs)-1] != 2 || len(out.faults) > 0 || w.InHand() != 0 {
			t.Errorf("%d arrived, and %d are in hand; %q", vs, w.InHand(), out.faults)
		}
	})
}
