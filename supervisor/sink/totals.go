package sink

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// totals are of everything together.
type totals struct {
	deliveries, failures uint64
	lastDelivery         time.Time
	latency              time.Duration
	lastError            string
	lastErrorAt          time.Time
}

// resume takes up what an earlier run has delivered.
func (t *totals) resume(d store.Delivery) {
	if d.Version > 0 && d.At.After(t.lastDelivery) {
		t.lastDelivery, t.latency = d.At, d.Latency
	}
}

func (t *totals) succeeded(at time.Time, latency time.Duration) {
	t.deliveries++
	t.lastDelivery, t.latency = at, latency
}

func (t *totals) failed(at time.Time, err string) {
	t.failures++
	t.lastError, t.lastErrorAt = err, at
}
