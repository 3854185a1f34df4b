package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What plans an account anew, like the end of a hold, does not forget what the
// server has asked for, nor how often it has failed.
func TestPlannedAnewKeepsThePromise(t *testing.T) {
	pauses := map[string]func(*rig){
		"hold": func(r *rig) { r.keeper.Hold(&refresh.Hold{Reason: "for a while"}); r.keeper.Hold(nil) },
		"postpone": func(r *rig) {
			r.keeper.Postpone("one", r.wall().Add(time.Second))
			r.keeper.Postpone("one", time.Time{})
		},
	}
	for name, pause := range pauses {
		for failure, c := range map[string]struct {
			faults []fault
			least  time.Duration
		}{
			"retry-after":              {[]fault{{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "429", HTTPStatus: 429, RetryAfter: 10 * time.Minute}}}, 10 * time.Minute},
			"back-off":                 {[]fault{{refuse: &sdk.Error{Kind: sdk.KindInvalidClient, Message: "invalid_client", HTTPStatus: 401}}}, time.Minute},
			"retry-after, of a replay": {[]fault{{loseAnswer: true}, {refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "429", HTTPStatus: 429, RetryAfter: 30 * time.Minute}}}, 30 * time.Minute},
		} {
			t.Run(name+", "+failure, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					g := r.start()
					r.broker.next("one", c.faults...)
					time.Sleep(15 * time.Minute)
					for r.broker.count() < len(c.faults) {
						time.Sleep(time.Second)
					}
					failed := r.wall()
					synctest.Wait()
					for r.wall().Before(failed.Add(c.least - 2*time.Second)) {
						pause(r)
						time.Sleep(time.Second)
					}
					synctest.Wait()
					if n := r.broker.count(); n != len(c.faults) {
						t.Errorf("%d requests before its time", n-len(c.faults))
					}
					time.Sleep(c.least)
					synctest.Wait()
					if n := r.broker.count(); n == len(c.faults) {
						t.Error("none after its time")
					}
					_ = g.end()
				})
			})
		}
	}
}

// A refused attempt whose end could not be noted, of an account that is planned
// anew meanwhile: it is noted when the disk comes back, and not at the next start.
func TestAnUnnotedRefusalIsNotedWhateverPlansTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		disk := &endlessDisk{Store: r.store}
		r.store = disk
		r.restart()
		g := r.start()
		synctest.Wait()
		disk.full.Store(true)
		r.broker.grant("one") // another login has ended ours
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		r.keeper.Hold(&refresh.Hold{Reason: "for a while"})
		r.keeper.Hold(nil)
		disk.full.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !r.record("one").NeedsLogin() {
			t.Error("the refusal is not noted")
		}
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		if s := r.status("one"); !s.Due.IsZero() {
			t.Errorf("due again at %s", s.Due)
		}
		_ = g.end()
	})
}

// slowDisk commits when it is let.
type slowDisk struct {
	store.Store
	begun, proceed chan struct{}
}

func (d *slowDisk) Commit(ctx context.Context, rec store.Record) error {
	close(d.begun)
	<-d.proceed
	return d.Store.Commit(ctx, rec)
}

// The provider says how long its tokens live while an import is under way: that
// counts for what is imported, too.
func TestAnImportMeetsTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, 20*time.Minute, 40*time.Minute, "one")
		r.broker.policyLife = 40 * time.Minute
		disk := &slowDisk{r.store, make(chan struct{}), make(chan struct{})}
		r.store = disk
		r.restart()
		token := r.broker.grant("one")
		token.Lifetime = 9 * time.Hour // as of another time zone
		done := make(chan error, 1)
		go func() {
			_, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, true)
			done <- err
		}()
		<-disk.begun
		g := r.start()
		time.Sleep(time.Second)
		close(disk.proceed)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		disk.begun = make(chan struct{}) // of the next commit
		rec := r.status("one").Record
		if left := rec.Token.Expiry().Sub(r.wall()); left > 20*time.Minute {
			t.Errorf("it is believed to live for %s", left)
		}
		if rec.RefreshExpiry.IsZero() {
			t.Error("nobody knows when its refresh token dies")
		}
		_ = g.end()
	})
}
