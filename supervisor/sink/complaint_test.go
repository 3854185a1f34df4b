package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// A receiver that is down fails every account: one of them speaks for all, ever
// more rarely, also across new versions. What fails otherwise speaks for itself.
func TestOneComplaintForAllThatFailAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		bus := event.NewBus(slog.New(slog.NewTextHandler(&log, nil)), time.Now)
		warnings := func() (n int) { return strings.Count(log.String(), "level=WARN") }
		out := &receiver{}
		down := func(_ context.Context, d sink.Delivery) error {
			if d.Document.Account == "a7" {
				return errors.New("too large")
			}
			return fmt.Errorf("account %s: connection refused", d.Document.Account)
		}
		out.set(down)
		b := start(t, sink.WorkerConfig{Sink: out, Events: bus}, newRecords())
		for range 60 { // minutes, with a new token of each account in each
			for i := range 20 {
				b.refresh(fmt.Sprintf("a%d", i))
			}
			pass(time.Minute)
		}
		// About three tries a minute: the first ones, and then 4, 8, … 128.
		if n := warnings(); n < 10 || n > 22 {
			t.Errorf("%d warnings in an hour:\n%s", n, log.String())
		}
		for _, said := range []string{"did not take account", "19 other deliveries to it fail too", "too large"} {
			if !strings.Contains(log.String(), said) {
				t.Errorf("nobody said %q:\n%s", said, log.String())
			}
		}

		out.set(nil)
		pass(2 * time.Minute)
		log.Reset()
		out.set(down)
		b.refresh("a3")
		pass(time.Second)
		if warnings() != 1 {
			t.Errorf("new trouble is told %d times at once:\n%s", warnings(), log.String())
		}
	})
}
