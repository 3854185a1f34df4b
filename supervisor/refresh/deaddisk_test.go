package refresh_test

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// dyingFile is a shared file whose disk stops answering: what is asked of it meanwhile
// comes back, and is done, when it answers again.
type dyingFile struct {
	sharing.File

	mu   sync.Mutex
	back chan struct{} // closed when the disk answers again; nil: it does
	only string        // the one call that hangs; "": each does
}

func newDyingFile(t *testing.T, path string) *dyingFile {
	file, err := sharedfile.New(sharedfile.Config{Path: path, Format: format.SaxoCache, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return &dyingFile{File: file}
}

func (f *dyingFile) dies(only string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.back, f.only = make(chan struct{}), only
}

func (f *dyingFile) lives() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.back)
	f.back = nil
}

func (f *dyingFile) waits(call string) {
	f.mu.Lock()
	back := f.back
	if f.only != "" && f.only != call {
		back = nil
	}
	f.mu.Unlock()
	if back != nil {
		<-back
	}
}

func (f *dyingFile) Lock(ctx context.Context) (func() error, error) {
	f.waits("lock")
	release, err := f.File.Lock(ctx)
	if err != nil {
		return nil, err
	}
	return func() error { f.waits("release"); return release() }, nil
}

func (f *dyingFile) Read() (format.Document, error)         { f.waits("read"); return f.File.Read() }
func (f *dyingFile) Prove() error                           { f.waits("prove"); return f.File.Prove() }
func (f *dyingFile) Replaceable() error                     { f.waits("replaceable"); return f.File.Replaceable() }
func (f *dyingFile) Write(d format.Document) error          { f.waits("write"); return f.File.Write(d) }
func (f *dyingFile) KeepRest() (string, error)              { f.waits("keep"); return f.File.KeepRest() }
func (f *dyingFile) Mend(d format.Document) (string, error) { f.waits("mend"); return f.File.Mend(d) }

// ends lets the generation finish, which takes no longer than a lock may.
func (g *generation) ends(t *testing.T) {
	t.Helper()
	began := time.Now()
	_ = g.end()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the generation has ended after %s", took)
	}
}

// As many accounts have a dead disk under their shared files as may be in flight: the
// provider's other accounts are refreshed all the same, over a death of its process and
// a restart, and these say why they wait. Once the disks answer they are refreshed too.
func TestDeadDisksUnderSharedFilesStopNobodyElse(t *testing.T) {
	for _, call := range []string{"", "lock", "read", "prove", "release"} {
		t.Run(cmp.Or(call, "everything"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dead := []string{"a", "b", "c", "d"}
				r := newRig(t, 20*time.Minute, append(dead, "other")...)
				dir, disks := filestest.TempDir(t), make([]*dyingFile, len(dead))
				for i, name := range dead {
					disks[i] = newDyingFile(t, filepath.Join(dir, name+".json"))
					r.accounts[i].Shared, r.accounts[i].SharedPath = disks[i], filepath.Join(dir, name+".json")
				}
				r.restart()
				defer r.watch()()
				for _, disk := range disks {
					disk.dies(call)
				}
				look := func(d time.Duration) {
					for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(30 * time.Second) {
						r.keeper.Look()
					}
					synctest.Wait()
				}
				g := r.start()
				look(31 * time.Minute)
				if v := r.record("other").Version; v < 3 {
					t.Errorf("version %d of the other account after half an hour, want 3", v)
				}
				if s := r.status("a"); s.Waiting != promise.DiskAway || s.InFlight {
					t.Errorf("it waits because of %q (in flight: %t), want %q", s.Waiting, s.InFlight, promise.DiskAway)
				}
				if r.count(event.DiskTrouble) == 0 {
					t.Error("nobody was told")
				}
				g.kill()
				if err := g.died(); err == nil {
					t.Error("the process is dead, and its loop does not say so")
				}
				g = r.start()
				look(16 * time.Minute)
				if v := r.record("other").Version; v < 4 {
					t.Errorf("version %d of the other account with the next process, want 4", v)
				}
				g.ends(t)
				g = r.start()
				for _, disk := range disks {
					disk.lives()
				}
				look(2 * time.Minute)
				for i, name := range dead {
					d, err := disks[i].Read()
					if rec := r.record(name); err != nil || rec.Version < 2 || !r.broker.holds(name, rec.Token.RefreshToken) || !d.RefreshToken.Equal(rec.Token.RefreshToken) {
						t.Errorf("account %s, once its disk answers: version %d, which works: %t, in the file: %t (%v)",
							name, rec.Version, r.broker.holds(name, rec.Token.RefreshToken), d.RefreshToken.Equal(rec.Token.RefreshToken), err)
					}
				}
				for _, f := range r.keeper.Facts() {
					t.Errorf("still told: %s", f.What)
				}
				g.ends(t)
			})
		})
	}
}

// newDyingRig is a rig of an account whose shared file may die, and holds its token.
func newDyingRig(t *testing.T) (*sharedRig, *dyingFile) {
	r := newSharedRig(t)
	disk := newDyingFile(t, r.path)
	r.accounts[0].Shared, r.accounts[0].SharedPath = disk, r.path
	r.restart()
	r.botWrites(r.record("one").Token, true)
	return r, disk
}

// A write that hangs keeps the lock, so that nobody writes a newer token which it would
// come over. The record is safe, its consumers have it, and the process may be replaced.
func TestAWriteThatHangsComesOverNoNewerToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, disk := newDyingRig(t)
		g := r.start()
		time.Sleep(10 * time.Minute)
		disk.dies("write")
		woken := r.woken()
		time.Sleep(5*time.Minute + 30*time.Second) // due
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if r.woken() == woken {
			t.Error("the sinks were not woken")
		}
		if _, err := r.bot.Lock(t.Context()); err == nil {
			t.Error("another program has the lock while a write is on its way")
		}
		g.ends(t)
		g = r.start()
		time.Sleep(25 * time.Minute) // due again
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests, of which the second was sent without the lock", n)
		}
		disk.lives()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Error("the file does not hold the newest token as soon as the disk answers")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(3, store.OriginRefresh)
		if !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Error("the file does not hold the newest token")
		}
		if release, err := r.bot.Lock(t.Context()); err != nil {
			t.Errorf("the lock is not free: %v", err)
		} else {
			_ = release()
		}
		g.ends(t)
	})
}

// An answer that waits in the spool is made durable though the disk of the shared file is
// dead, and holds up nobody: the file gets it once it answers.
func TestASpooledAnswerDoesNotWaitForADeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sharedRig{rig: newRig(t, 20*time.Minute, "one", "two")}
		r.path = filepath.Join(filestest.TempDir(t), "tokens.json")
		disk := newDyingFile(t, r.path)
		r.accounts[0].Shared, r.accounts[0].SharedPath = disk, r.path
		r.restart()
		g := r.start()
		time.Sleep(5 * time.Minute)
		if _, err := r.keeper.Refresh(t.Context(), "two", true); err != nil {
			t.Fatal(err)
		}
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(10*time.Minute + time.Second)
		_ = g.died()
		disk.dies("")
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if v := r.record("two").Version; v < 3 {
			t.Errorf("version %d of the other account, want 3", v)
		}
		if n := r.broker.count(); n != 3 {
			t.Errorf("%d requests, want one for each of three attempts", n)
		}
		disk.lives()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if d, err := disk.Read(); err != nil || !d.RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Errorf("the file does not hold the newest token (%v)", err)
		}
		g.ends(t)
	})
}

// A file that is read too late is not one that can't be read: what it holds is taken, and
// our refresh token, which may be spent, is not sent past it, although no access token
// lives any more and the disk answers again in the middle of the turn.
func TestNothingIsSentPastADiskThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		disk := newDyingFile(t, r.path)
		r.accounts[0].Shared, r.accounts[0].SharedPath = disk, r.path
		r.accounts[0].Settings = map[string]string{"credentials": "/etc/broker/key.json"}
		var once sync.Once
		began := time.Now().Add(25 * time.Minute)
		revive := func() { once.Do(disk.lives) }
		r.steered = func(string) error { // the last thing that is looked at before the file is proved
			if time.Since(began) >= 10*time.Second {
				revive()
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}
		r.restart()
		time.Sleep(time.Until(began))
		disk.dies("read")
		r.botRefreshes(true)
		g := r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); r.broker.count() > 0 || s.Waiting != promise.DiskAway {
			t.Errorf("%d requests of our own, and it waits because of %q", r.broker.count(), s.Waiting)
		}
		revive()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if r.broker.count() > 0 {
			t.Errorf("%d requests of our own", r.broker.count())
		}
		g.ends(t)
	})
}

// While the file holds what is spent, and its disk does not answer, no other program gets
// the lock: it would use that. Once the disk answers the new token stands there first.
func TestASpentTokenIsNotLeftWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, disk := newDyingRig(t)
		g := r.start()
		r.broker.next("one", fault{before: func() { disk.dies("read") }})
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if _, err := r.bot.Lock(t.Context()); err == nil {
			t.Error("another program has the lock, and finds a spent token")
		}
		disk.lives()
		synctest.Wait()
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Error("another program has the lock before the newest token is there")
		}
		_ = release()
		g.ends(t)
	})
}
