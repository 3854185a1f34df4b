package refresh_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// endlessDisk announces attempts, and can't end them while it is full.
type endlessDisk struct {
	store.Store
	full atomic.Bool
}

func (d *endlessDisk) Abandon(ctx context.Context, account, attempt string, at store.Basis, h store.Health) error {
	if d.full.Load() {
		return errNoSpace
	}
	return d.Store.Abandon(ctx, account, attempt, at, h)
}

func (d *endlessDisk) Replace(ctx context.Context, attempt string, in store.Intent) error {
	if d.full.Load() {
		return errNoSpace
	}
	return d.Store.Replace(ctx, attempt, in)
}

// The disk fails just when a failed attempt is noted, and comes back: what the
// server has said then counts as if it had been noted at once.
func TestFailedAttemptIsNotedWhenTheDiskComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		fault           fault
		revoked         bool
		requests, death int // that reach the broker within the hour; death: if the provider dies
		state           refresh.State
	}{
		"transient": {fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}}, false, 5, 5, refresh.Valid},
		"not sent":  {fault{beforeSend: &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"}}, false, 4, 4, refresh.Valid},
		"ambiguous": {fault{loseAnswer: true}, false, 2, 2, refresh.NeedsLogin},
		"refused":   {fault{}, true, 1, 2, refresh.NeedsLogin}, // the fake broker's verdict dies with the process
	} {
		for _, dies := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", and the provider dies"}[dies], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					disk := &endlessDisk{Store: r.store}
					r.store = disk
					r.restart()
					defer r.watch()()
					g := r.start()
					synctest.Wait()
					disk.full.Store(true)
					if c.revoked {
						r.broker.grant("one") // another login has ended ours
					}
					r.broker.next("one", c.fault)
					time.Sleep(15*time.Minute + time.Second)
					synctest.Wait()
					if dies {
						g.kill()
						<-g.done
						g.stop()
						g = r.start()
					}
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if n := r.broker.count(); n > 1 {
						t.Errorf("%d requests while the end of the first can't be noted", n)
					}
					if r.count(event.DiskTrouble) == 0 {
						t.Error("no alert")
					}
					disk.full.Store(false)
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					r.met() // whatever was stored since, the disk has taken it
					time.Sleep(50 * time.Minute)
					synctest.Wait()
					s := r.status("one")
					want := c.requests
					if dies {
						want = c.death
					}
					if n := r.broker.count(); n != want {
						t.Errorf("%d requests, want %d", n, want)
					}
					if n := r.count(event.RefreshFailed); n > 1 {
						t.Errorf("one failure was told %d times", n)
					}
					if s.State != c.state {
						t.Errorf("state %s, want %s", s.State, c.state)
					}
					_ = g.end()
				})
			})
		}
	}
}

// A person imports while the end of a failed attempt could not be noted: its slot
// blocks nothing.
func TestAnImportOverAFailureThatCouldNotBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		disk := &endlessDisk{Store: r.store}
		r.store = disk
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		disk.full.Store(true)
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}})
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		disk.full.Store(false)
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			t.Fatal(err)
		}
		failed := r.count(event.RefreshFailed)
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || r.count(event.RefreshFailed) > failed {
			t.Errorf("state %s: %+v", s.State, s.Record.Health)
		}
		_ = g.end()
	})
}
