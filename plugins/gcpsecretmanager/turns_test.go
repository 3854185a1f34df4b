package gcpsecretmanager_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// TestInterval holds the second version back, not the next account's, across
// a restart too, and ends when it is over.
func TestInterval(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		r := start(t, "interval", "30m", "secret", secret, "key", "{account}")
		now := began
		clock := func() time.Time { return now }
		r.With(func(s *secretmanagertest.Server) { s.Now = clock })
		r.sink.SetNow(clock)
		r.must(r.send(r.request("a", 1)))
		if restarted {
			r.restart()
			r.sink.SetNow(clock)
		}
		now = now.Add(10 * time.Minute)
		err := r.send(r.request("a", 2))
		var e *sdk.Error
		if !errors.As(err, &e) || e.RetryAfter != 20*time.Minute || !errors.Is(err, sdk.ErrLater) {
			t.Fatalf("restarted %v: the error is %v, want to be asked back in 20m", restarted, err)
		}
		r.must(r.send(r.request("a", 1))) // is there already
		r.must(r.send(r.request("b", 1)))
		now = now.Add(20 * time.Minute)
		r.must(r.send(r.request("a", 3)))
		if strings.Contains(r.newest(), access("a", 2)) || !strings.Contains(r.newest(), access("a", 3)) {
			t.Errorf("the newest version is %s", r.newest())
		}
		now = began // a clock that was set back holds nothing up for ever
		r.must(r.send(r.request("a", 4)))
	}
}

// TestTwoAtOnce: two sinks of one configuration may deliver one version to one
// place.
func TestTwoAtOnce(t *testing.T) {
	r := start(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := r.deliver(1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(r.Versions(secret)); n != 1 {
		t.Errorf("there are %d versions", n)
	}
}

// TestWaitsItsTurn: a delivery that can't have its turn ends at its deadline.
func TestWaitsItsTurn(t *testing.T) {
	r := start(t)
	reached := make(chan struct{})
	waits := hang("AccessSecretVersion")
	r.With(func(s *secretmanagertest.Server) {
		s.Before = func(ctx context.Context, m string) error { close(reached); return waits(ctx, m) }
	})
	first, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer end()
	all.Go(func() { _ = r.sink.Deliver(first, r.request("saxo-live", 1)) })
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.sink.Deliver(ctx, r.request("saxo-live", 2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}

func BenchmarkDeliver(b *testing.B) {
	r := start(b)
	n := uint64(0)
	for b.Loop() {
		n++
		if err := r.deliver(n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
