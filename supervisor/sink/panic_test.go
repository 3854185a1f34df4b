package sink_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// cracked is a store with a record that can't be read without a panic.
type cracked struct{ *records }

func (c cracked) Load(ctx context.Context, account string) (store.Record, error) {
	if account == "cracked" {
		panic("a bug")
	}
	return c.records.Load(ctx, account)
}

// A bug of the store's at one account is that account's failure, and named as
// the store's.
func TestStoreThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.next("cracked")
		r.next("whole")
		w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Sink: out, Store: cracked{r}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _ = w.Run(ctx) }()
		pass(time.Second)
		if out.versions("whole") == nil {
			t.Error("another account did not get its token")
		}
		if st := w.Status("cracked"); st.Failures != 1 || st.Next.IsZero() || !strings.Contains(st.LastError, "the store's code panicked") {
			t.Errorf("%+v", st)
		}
		cancel()
		synctest.Wait()
	})
}

// A bug of our own ends the run with an error, and the process does not die of
// it: the next run takes up what is left.
func TestWorkerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out, panics := newRecords(), &receiver{}, true
		r.next("a")
		w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Sink: out, Store: r, Wall: func() time.Time {
			if panics && out.tried() > 0 {
				panics = false
				panic("a bug")
			}
			return time.Now()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err == nil || !strings.Contains(err.Error(), "the worker's code panicked (string) in ") || strings.Contains(err.Error(), "a bug") {
			t.Fatalf("the first run ended with %v", err)
		}
		_ = w.Run(ctx)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 1}) || w.InHand() != 0 {
			t.Errorf("versions %v arrived, and %d are in hand", got, w.InHand())
		}
		if d := r.ledger["bot"]["a"]; d.Version != 1 {
			t.Errorf("the ledger says %+v", d)
		}
	})
}
