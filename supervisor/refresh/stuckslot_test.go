package refresh_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A slot that the provider can't free at a start is told of, and keeps nothing
// from being refreshed once it can.
func TestSlotThatCantBeFreedIsToldAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		var log bytes.Buffer
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		g := r.start()
		r.stick(true)
		time.Sleep(15*time.Minute + time.Second) // version 2, whose attempt keeps its slot
		synctest.Wait()
		_ = g.end()
		r.restart()
		g = r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.stick(false)
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || s.Record.Health.Failures > 0 {
			t.Errorf("%s at version %d after %d failures", s.State, s.Record.Version, s.Record.Health.Failures)
		}
		_ = g.end()
		if said := log.String(); !strings.Contains(said, "can't free the spool slot") || !strings.Contains(said, "account=one") {
			t.Errorf("the log: %s", said)
		}
	})
}
