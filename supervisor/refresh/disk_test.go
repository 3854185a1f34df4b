package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// badDisk is a store whose disk fails when told to.
type badDisk struct {
	store.Store
	mu             sync.Mutex
	intend, commit bool
}

func (d *badDisk) fail(intend, commit bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.intend, d.commit = intend, commit
}

var errNoSpace = fmt.Errorf("%w: no space left on device", store.ErrDisk)

func (d *badDisk) Intend(ctx context.Context, in store.Intent) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.intend {
		return errNoSpace
	}
	return d.Store.Intend(ctx, in)
}

func (d *badDisk) Commit(ctx context.Context, rec store.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.commit {
		return errNoSpace
	}
	return d.Store.Commit(ctx, rec)
}

func TestTokenIsNotSpentWhenTheDiskCantBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		disk := &badDisk{Store: r.store}
		r.store = disk
		r.restart()
		defer r.watch()()
		g := r.start()
		disk.fail(true, false)
		time.Sleep(17 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests were made over a disk that can't be written", n)
		}
		if r.count(event.DiskTrouble) == 0 {
			t.Error("no alert")
		}
		r.met(event.DiskTrouble)
		disk.fail(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.met()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 2 {
			t.Errorf("after the disk came back: %s at version %d", s.State, s.Record.Version)
		}
		_ = g.end()
	})
}

// The answer is there and can't be stored: consumers are served from memory,
// the spool keeps it, and nothing is sent twice, whoever dies meanwhile; nor if
// the spool is lost as well, as long as somebody lives.
func TestTokenIsServedWhileTheDiskRefusesIt(t *testing.T) {
	for _, dies := range []string{"nobody", "provider", "supervisor", "the spool"} {
		t.Run(dies, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				disk := &badDisk{Store: r.store}
				r.store = disk
				r.restart()
				defer r.watch()()
				g := r.start()
				synctest.Wait()
				disk.fail(false, true)
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				if s := r.status("one"); s.Record.Version != 2 || s.State != refresh.Retrying || !r.broker.holds("one", s.Record.Token.RefreshToken) {
					t.Errorf("while the disk refuses: %s at version %d", s.State, s.Record.Version)
				}
				if rec := r.record("one"); rec.Version != 2 || !rec.Held {
					t.Errorf("sinks read version %d, held: %t", rec.Version, rec.Held)
				}
				if r.count(event.DiskTrouble) == 0 {
					t.Error("no alert")
				}
				switch dies {
				case "provider":
					g.kill()
					<-g.done
					g.stop()
					g = r.start()
				case "the spool":
					g.kill()
					<-g.done
					g.stop()
					if err := os.RemoveAll(filepath.Join(r.dir, "spool")); err != nil {
						t.Fatal(err)
					}
					g = r.start()
				case "supervisor":
					g.kill()
					<-g.done
					g.stop()
					memory := disk.Store.(*store.Memory)
					if err := memory.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
						t.Fatal(err)
					}
					disk.Store = memory.Reopen()
					r.restart()
					g = r.start()
				}
				time.Sleep(30 * time.Second)
				disk.fail(false, false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if rec := r.record("one"); rec.Version != 2 || rec.Held || !r.broker.holds("one", rec.Token.RefreshToken) {
					t.Errorf("after the disk came back: version %d, held: %t", rec.Version, rec.Held)
				}
				if s := r.status("one"); s.State != refresh.Valid {
					t.Errorf("state %s, want valid", s.State)
				}
				if n := r.broker.count(); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				_ = g.end()
			})
		})
	}
}
