package sink_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

var (
	catchUpAccounts = flag.Int("catchup.accounts", 20_000, "accounts of BenchmarkCatchUp")
	catchUpSinks    = flag.Int("catchup.sinks", 5, "sinks of BenchmarkCatchUp")
)

// BenchmarkCatchUp is the start of all sinks at once, each of which has the
// newest version of every account but one. It ends when each has that one too,
// and tells how much memory the workers then keep alive, with what the store
// remembers for them. In short it is a tenth of the accounts:
//
//	go test -run '^$' -bench CatchUp -benchtime 3x ./supervisor/sink
//	go test -run '^$' -bench CatchUp -benchtime 1x ./supervisor/sink -catchup.accounts 100000 -catchup.sinks 50
func BenchmarkCatchUp(b *testing.B) {
	accounts, sinks := *catchUpAccounts, *catchUpSinks
	if testing.Short() {
		accounts = min(accounts, 2000)
	}
	var kept float64
	var took time.Duration
	for range b.N {
		b.StopTimer()
		m := delivered(b, accounts, sinks)
		before := liveHeap()
		began := time.Now()
		b.StartTimer()
		workers, stop := catchUp(b, m, sinks)
		b.StopTimer()
		took += time.Since(began)
		kept += float64(liveHeap()) - float64(before)
		for _, w := range workers {
			if s := w.Summary(); s.Accounts != accounts || s.Behind > 1 {
				b.Fatalf("sink %s has %d accounts and lacks %d, want %d and at most one", w.Name(), s.Accounts, s.Behind, accounts)
			}
		}
		stop()
		_ = m.Close()
	}
	lines := float64(b.N * accounts * sinks)
	b.ReportMetric(took.Seconds()*1e3/float64(b.N), "ms/op")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(kept/lines, "B/account-and-sink")
}

// delivered is a store in which the ledger of each sink has every account but
// the first.
func delivered(b *testing.B, accounts, sinks int) *store.Memory {
	b.Helper()
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx, m := b.Context(), store.NewMemory()
	for i := range accounts {
		rec := storetest.First(accountName(i))
		rec.Token.IssuedAt = time.Now() // a dead token is given to nobody
		ok(m.Commit(ctx, rec))
	}
	for n := range sinks {
		for i := 1; i < accounts; i++ {
			ok(m.MarkDelivered(ctx, store.Delivery{Sink: sinkName(n), Account: accountName(i), Version: 1, Latency: time.Millisecond}))
		}
		ok(m.SaveAlert(ctx, event.Alert{Key: "disk_trouble:*"})) // the ledger rides along
	}
	return m
}

func accountName(i int) string { return fmt.Sprintf("account-%06d", i) }
func sinkName(i int) string    { return fmt.Sprintf("sink-%02d", i) }

// catchUp runs a worker for each sink, and returns when each has brought the
// one token that its sink lacked.
func catchUp(b *testing.B, m sink.Store, sinks int) (workers []*sink.Worker, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	out := make(sign, sinks)
	for n := range sinks {
		w := sink.NewWorker(sink.WorkerConfig{
			Name: sinkName(n), Type: "memory", Sink: out, Store: m,
			Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
		})
		workers = append(workers, w)
		running.Go(func() { _ = w.Run(ctx) })
	}
	for range workers {
		<-out
	}
	return workers, func() { cancel(); running.Wait() }
}

// liveHeap is what is reachable, in bytes.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
