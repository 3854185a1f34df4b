package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// asksFor has the rig's destinations take so long until they have said what they hold.
func (r *rig) asksFor(d time.Duration) {
	r.asks(func(ctx context.Context, _ store.Record) refresh.Elsewhere {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return refresh.Elsewhere{}
	})
}

// A process is not ended before an attempt's own time is over, which begins with its
// call: before that it may have waited for others. The clock may be set meanwhile.
func TestDeadlineIsThatOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour, "one")
		r.asksFor(20 * time.Second)
		sent := fault{notice: make(chan struct{}), proceed: make(chan struct{})}
		r.broker.next("one", sent)
		g := r.start()
		go func() { _, _ = r.keeper.Refresh(t.Context(), "one", true) }()
		synctest.Wait()
		if left := time.Until(r.keeper.Deadline()); left != 30*time.Second {
			t.Errorf("before its call an attempt has %s, want the time of one", left)
		}
		<-sent.notice
		if left := time.Until(r.keeper.Deadline()); left != 30*time.Second {
			t.Errorf("when the request was sent %s are left, want the attempt's whole time", left)
		}
		r.jumpBy(24 * time.Hour)
		time.Sleep(10 * time.Second)
		if left := time.Until(r.keeper.Deadline()); left != 20*time.Second {
			t.Errorf("when the clock was set %s are left, want 20s", left)
		}
		close(sent.proceed)
		synctest.Wait()
		if d := r.keeper.Deadline(); !d.IsZero() || r.keeper.InFlight() != 0 {
			t.Errorf("nothing is in flight any more, and the deadline is %s", d)
		}
		_ = g.end()
	})
}

// An attempt that still waits for others when its process is to be ended is not begun:
// whoever stops it does not wait for that long. The next process makes it.
func TestNothingIsAnnouncedOnceTheProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour, "one")
		r.asksFor(20 * time.Second)
		g := r.start()
		asked := make(chan error, 1)
		go func() {
			_, err := r.keeper.Refresh(t.Context(), "one", true)
			asked <- err
		}()
		time.Sleep(10 * time.Second)
		_ = g.end()
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil || r.broker.count() != 0 {
			t.Errorf("%d requests, announced %t (%v), want nothing", r.broker.count(), open, err)
		}
		g = r.start()
		if err := <-asked; err != nil || r.record("one").Version != 2 || r.broker.count() != 1 {
			t.Errorf("whoever asked hears %v, with %d requests, want one", err, r.broker.count())
		}
		_ = g.end()
	})
}
