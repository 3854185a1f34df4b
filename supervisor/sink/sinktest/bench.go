package sinktest

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Benchmark delivers one account's versions one after the other and reports
// deliveries per second and how long one takes. The destination must be there.
func Benchmark(b *testing.B, to sink.Sink) {
	b.Helper()
	b.ReportAllocs()
	var took []time.Duration
	version := uint64(0)
	for b.Loop() {
		version++
		d := Full("acct", version)
		began := time.Now()
		if err := to.Deliver(b.Context(), d); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "deliveries/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}
