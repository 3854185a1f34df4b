package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// botGets waits for the lock as a bot does, however long, and tells what the
// file holds then.
func (r *sharedRig) botGets() <-chan format.Document {
	r.t.Helper()
	bot, err := sharedfile.New(sharedfile.Config{Path: r.path, Format: format.SaxoCache, Location: time.UTC, Patience: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	got := make(chan format.Document, 1)
	go func() {
		release, err := bot.Lock(r.t.Context())
		if err != nil {
			r.t.Error(err)
			return
		}
		d, err := bot.Read()
		if err != nil {
			r.t.Error(err)
		}
		_ = release()
		got <- d
	}()
	return got
}

// A process dies in mid-attempt: no bot gets the lock before it is known what
// became of the refresh token in the file, or that nobody can know.
func TestLockIsKeptForTheNextProcess(t *testing.T) {
	for _, tt := range []struct {
		window window
		name   string
		lives  bool // what the file holds when the bot gets the lock
	}{
		{beforeSend, "before the send", true},
		{sent, "sent", false},
		{spooled, "spooled", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				g := r.start()
				var got <-chan format.Document
				r.broker.next("one", fault{die: tt.window, kill: func() {
					got = r.botGets()
					g.kill()
				}})
				time.Sleep(15*time.Minute + time.Second)
				if err := g.died(); err == nil {
					t.Fatal("the process lives")
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				select {
				case <-got:
					t.Error("a bot has the lock although nobody knows what became of the token")
				default:
				}
				g = r.start()
				d := <-got
				if lives := r.broker.holds("one", d.RefreshToken); lives != tt.lives {
					t.Errorf("when the bot got the lock the file held a living token: %t, want %t", lives, tt.lives)
				}
				time.Sleep(10 * time.Second)
				_ = g.end()
			})
		})
	}
}

// If no process comes, bots wait as long as the attempt may take and a minute.
func TestKeptLockIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		g := r.start()
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(15*time.Minute + time.Second)
		_ = g.died()
		begun := time.Now()
		<-r.botGets()
		if waited := time.Since(begun); waited > 95*time.Second || waited < 80*time.Second {
			t.Errorf("the bot waited for %s", waited)
		}
	})
}

// An answer that can't be stored is in the spool and in the shared file, or bots
// would use the refresh token again that has brought it.
func TestSharedFileHasWhatTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		disk := &badDisk{Store: r.store}
		r.store = disk
		r.restart()
		g := r.start()
		synctest.Wait()
		disk.fail(false, true)
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if d := <-r.botGets(); !r.broker.holds("one", d.RefreshToken) {
			t.Error("a bot finds a refresh token that was used")
		}
		time.Sleep(3 * time.Minute)
		disk.fail(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(2, "refresh")
		if n := r.broker.count(); n != 1 || !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Errorf("%d requests, want 1", n)
		}
		_ = g.end()
	})
}
