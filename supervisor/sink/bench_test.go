package sink_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// sign is a sink in memory that says which version came when.
type sign chan arrival

type arrival struct {
	version uint64
	at      time.Time
}

func (s sign) Deliver(_ context.Context, d sink.Delivery) error {
	s <- arrival{d.Version, time.Now()}
	return nil
}

func runWorker(b *testing.B, out sink.Sink, r *records) *sink.Worker {
	w := sink.NewWorker(sink.WorkerConfig{
		Name: "bench", Type: "memory", Sink: out, Store: r,
		Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// BenchmarkDeliveries is how many deliveries a second the engine makes to a
// sink in memory.
func BenchmarkDeliveries(b *testing.B) {
	const accounts = 1000
	r, out := newRecords(), make(sign, accounts)
	w := runWorker(b, out, r)
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprint("a", i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		for _, name := range names {
			r.next(name)
		}
		b.StartTimer()
		for _, name := range names {
			w.Wake(name)
		}
		for range names {
			<-out
		}
		n += accounts
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkWakeToDelivered is how long it takes from a wake to the delivery at
// a sink in memory.
func BenchmarkWakeToDelivered(b *testing.B) {
	r, out := newRecords(), make(sign, 1)
	w := runWorker(b, out, r)
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		rec := r.next("a")
		b.StartTimer()
		began := time.Now()
		w.Wake("a")
		a := <-out
		if a.version != rec.Version {
			b.Fatalf("version %d came, want %d", a.version, rec.Version)
		}
		took = append(took, a.at.Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkSummary is one look at a sink of 100,000 accounts, of which it has
// everything, or lacks the newest of each hundredth. In short it is a thousand.
func BenchmarkSummary(b *testing.B) {
	accounts := 100_000
	if testing.Short() {
		accounts = 1000
	}
	for _, c := range []struct {
		name   string
		behind int // 0: none; else each such
	}{{"up to date", 0}, {"some behind", 100}} {
		b.Run(c.name, func(b *testing.B) {
			r := newRecords()
			r.ledger["bench"] = map[string]store.Delivery{}
			for i := range accounts {
				rec := r.next(fmt.Sprint("a", i))
				if c.behind == 0 || i%c.behind > 0 {
					r.ledger["bench"][rec.Account] = store.Delivery{Sink: "bench", Account: rec.Account, Version: rec.Version, At: rec.StoredAt}
				}
			}
			w := runWorker(b, refusing{}, r)
			for w.Summary().Accounts < accounts {
				runtime.Gosched()
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = w.Summary()
			}
		})
	}
}

// refusing takes nothing.
type refusing struct{}

func (refusing) Deliver(context.Context, sink.Delivery) error { return sink.ErrAbsent }
