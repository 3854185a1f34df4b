package store_test

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A line of the ledger is the same whether it waits, is written, or both.
func TestDelivery(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	flush := func() { // what waits rides on any write
		ok(m.SaveAlert(ctx, event.Alert{Key: "disk_trouble:*", Version: 1}))
	}
	same := func(when string, version uint64, result string) {
		t.Helper()
		got, err := m.Delivery(ctx, "chat", "main")
		ok(err)
		if got.Version != version || got.Result != result {
			t.Errorf("%s: %+v", when, got)
		}
	}
	same("at first", 0, "")
	ok(m.MarkDelivered(ctx, store.Delivery{Sink: "chat", Account: "main", Version: 3}))
	same("waiting", 3, store.ResultDelivered)
	flush()
	same("written", 3, store.ResultDelivered)
	ok(m.MarkTried(ctx, store.Tried{Sink: "chat", Account: "main", Version: 4, Result: store.ResultRefused}))
	same("both", 3, store.ResultRefused)
	if _, err := m.Delivery(ctx, "a/b", "main"); err == nil {
		t.Error("a sink that no key can name has a ledger")
	}
	ok(m.Close())
	if _, err := m.Delivery(ctx, "chat", "main"); err == nil {
		t.Error("a closed store answers")
	}
}
