package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A lost session brings the next token at once where no person is needed for it, but
// no storm of refreshes if that does not help.
func TestLostSessionBringsTheNextToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Hour, "main")
		gen := r.start()
		synctest.Wait()
		if _, err := r.keeper.Refresh(t.Context(), "main", true); err != nil {
			t.Fatal(err)
		}
		first := r.status("main").Record.Version
		r.keeper.SessionGone("main", first-1, true) // of a token that is replaced
		time.Sleep(time.Second)
		if s := r.status("main"); s.Record.Version != first || s.SessionGone {
			t.Fatalf("an old version's session: %+v", s)
		}
		r.keeper.SessionGone("main", first, true)
		time.Sleep(time.Second)
		if s := r.status("main"); s.Record.Version != first+1 || s.SessionGone || s.Record.Health.Failures > 0 {
			t.Fatalf("v%d, gone %t", s.Record.Version, s.SessionGone)
		}
		for range 60 { // none of the next ones has a session either
			r.keeper.SessionGone("main", r.status("main").Record.Version, true)
			time.Sleep(time.Minute)
		}
		if got := r.status("main").Record.Version; got < first+4 || got > first+6 {
			t.Errorf("v%d after an hour, from v%d", got, first)
		}
		if twice := r.broker.sentTwice(); len(twice) > 0 {
			t.Errorf("refresh tokens were used twice: %v", twice)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// What keeps an account from being refreshed is not overcome by a lost session.
func TestLostSessionWaitsLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Hour, "main")
		gen := r.start()
		synctest.Wait()
		v := r.status("main").Record.Version
		r.keeper.Postpone("main", time.Now().Add(time.Hour))
		r.keeper.SessionGone("main", v, true)
		time.Sleep(time.Minute)
		if got := r.status("main").Record.Version; got != v {
			t.Errorf("v%d while a better token is asked for elsewhere", got)
		}
		r.keeper.Postpone("main", time.Time{})
		r.beginLogin("main")
		r.keeper.SessionGone("main", v, true)
		time.Sleep(time.Minute)
		if got := r.status("main").Record.Version; got != v {
			t.Errorf("v%d while a login is open", got)
		}
		if _, err := r.keeper.CancelLogin(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		r.keeper.SessionGone("main", v, true)
		time.Sleep(time.Second)
		if got := r.status("main").Record.Version; got != v+1 {
			t.Errorf("v%d after that", got)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// An account whose tokens come from logins alone needs one when its session is gone,
// and none when that turns out to be a mistake. Its token may be replaced meanwhile.
func TestLostSessionNeedsALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDailyRig(t)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		day := 0
		imported := func() error {
			day++
			token := sdk.Token{AccessToken: sdk.NewSecret(fmt.Sprint("day-", day)), IssuedAt: time.Now(), Lifetime: 24 * time.Hour}
			_, err := r.keeper.Import(t.Context(), store.Record{Account: "main", Token: token}, false)
			return err
		}
		if err := imported(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.keeper.SessionGone("main", 1, true)
		}
		synctest.Wait()
		if s := r.status("main"); s.State != refresh.NeedsLogin || !s.SessionGone || r.count(event.NeedsLogin) != 1 {
			t.Errorf("%s, gone %t, told %d times", s.State, s.SessionGone, r.count(event.NeedsLogin))
		}
		if _, rec, ok, _ := r.keeper.Session("main"); !ok || rec.Version != 1 {
			t.Error("it is not looked at any more")
		}
		r.keeper.SessionGone("main", 1, false)
		if s := r.status("main"); s.State != refresh.Valid || s.SessionGone {
			t.Errorf("alive after all: %s", s.State)
		}
		if err := imported(); !errors.Is(err, refresh.ErrHasToken) {
			t.Errorf("an import over a token that works: %v", err)
		}
		r.keeper.SessionGone("main", 1, true)
		if err := imported(); err != nil {
			t.Errorf("an import after the session is gone: %v", err)
		}
		if s := r.status("main"); s.State != refresh.Valid || s.SessionGone || s.Record.Version != 2 {
			t.Errorf("the next one: %s, v%d", s.State, s.Record.Version)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// Only a token that is durable, lives and may be used has a session to keep.
func TestWhoseSessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour, "main")
		if _, _, ok, _ := r.keeper.Session("main"); ok {
			t.Error("before the provider serves")
		}
		gen := r.start()
		synctest.Wait()
		kept := func(name string) bool { _, _, ok, _ := r.keeper.Session(name); return ok }
		if !kept("main") || kept("nobody's") {
			t.Error("of a token that lives")
		}
		r.keeper.Hold(&refresh.Hold{Reason: "the store is another machine's"})
		if kept("main") {
			t.Error("of a token that may not be used")
		}
		r.keeper.Hold(nil)
		r.broker.setDown(true)
		time.Sleep(2 * time.Hour)
		if kept("main") {
			t.Error("of a dead token")
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A provider that others can steer is not told the access token for a beat either.
func TestNoBeatThroughAProviderThatOthersSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, open := newSteeredRig(t)
		gen := r.start()
		synctest.Wait()
		for _, others := range []bool{false, true} {
			open.Store(others)
			time.Sleep(10 * time.Second) // for which a look counts
			if _, _, ok, _ := r.keeper.Session("one"); ok == others {
				t.Errorf("kept: %t, while others can steer it: %t", ok, others)
			}
			if _, _, ok, _ := r.keeper.Session("other"); !ok {
				t.Error("the account that names no such file is not kept")
			}
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// deadDisk is a rig whose account "one" names a file on a disk that does not answer
// while the disk is dead. The account "other" names one on another disk.
func deadDisk(t *testing.T) (r *rig, dead *atomic.Bool, looking *atomic.Int32) {
	r, dead, looking = newRig(t, 20*time.Minute, "one", "other"), &atomic.Bool{}, &atomic.Int32{}
	r.accounts[0].Settings = map[string]string{"credentials": "/mnt/away/key.json"}
	r.accounts[1].Settings = map[string]string{"credentials": "/etc/broker/key.json"}
	r.steered = func(path string) error {
		looking.Add(1)
		defer looking.Add(-1)
		for path == "/mnt/away/key.json" && dead.Load() {
			time.Sleep(time.Second)
		}
		return nil
	}
	r.restart()
	return r, dead, looking
}

// A disk that does not answer keeps a beat for a second, and one look at it is made at
// a time, whatever asks and in whichever generation. It is an error of the beat.
func TestDeadDiskIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dead, looking := deadDisk(t)
		for range 3 {
			gen := r.start()
			time.Sleep(15 * time.Second)
			dead.Store(true)
			began := time.Now()
			for range 5 {
				_, rec, ok, err := r.keeper.Session("one")
				if !ok || rec.Version == 0 || !errors.Is(err, refresh.ErrNotLooked) || !strings.Contains(err.Error(), "its setting credentials was not looked at in time") {
					t.Errorf("v%d, kept: %t, %v", rec.Version, ok, err)
				}
			}
			if took := time.Since(began); took > time.Second || looking.Load() != 1 {
				t.Errorf("five beats waited %s, and %d look", took, looking.Load())
			}
			if _, _, ok, err := r.keeper.Session("other"); !ok || err != nil {
				t.Errorf("the account on another disk: kept %t, %v", ok, err)
			}
			if !r.keeper.SessionOf("one", r.record("one").Version) || r.keeper.SessionOf("one", 99) {
				t.Error("whether its session is to be kept does not depend on the disk")
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		}
		dead.Store(false)
		gen := r.start()
		time.Sleep(11 * time.Second)
		if _, _, ok, err := r.keeper.Session("one"); !ok || err != nil {
			t.Errorf("the disk is back: kept %t, %v", ok, err)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// Nothing is sent while nobody can say who may change what steers the provider: it is
// put off, the lease is given back, it is told why, and nobody is accused.
func TestAttemptIsPutOffByADeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dead, looking := deadDisk(t)
		gen := r.start()
		time.Sleep(10 * time.Minute)
		dead.Store(true)
		before := r.record("one")
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		s := r.status("one")
		if s.Record.Version != before.Version || s.Waiting != promise.DiskAway || !strings.Contains(s.Record.Health.LastError, "/mnt/away/key.json") {
			t.Errorf("v%d after v%d, waits for %q: %s", s.Record.Version, before.Version, s.Waiting, s.Record.Health.LastError)
		}
		if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil {
			t.Errorf("an attempt was announced: %t, %v", open, err)
		}
		if v := r.record("other").Version; v < 2 || looking.Load() != 1 {
			t.Errorf("the other account has v%d; %d look", v, looking.Load())
		}
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7}); !errors.Is(err, refresh.ErrNotLooked) {
			t.Errorf("a login was begun: %v", err)
		}
		r.met()
		dead.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := r.record("one"); got.Version != before.Version+1 || got.Health.Failures != 0 {
			t.Errorf("the disk is back: v%d, %+v", got.Version, got.Health)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// That the refresh token is refused ends no session of the access token that consumers
// hold.
func TestSessionOutlivesTheRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour, "main")
		gen := r.start()
		synctest.Wait()
		r.broker.rotate("main") // somebody else has used it up
		_, _ = r.keeper.Refresh(t.Context(), "main", true)
		synctest.Wait()
		s := r.status("main")
		if _, rec, ok, err := r.keeper.Session("main"); s.State != refresh.NeedsLogin || !ok || err != nil || !r.keeper.SessionOf("main", rec.Version) {
			t.Errorf("%s, kept: %t, %v", s.State, ok, err)
		}
		time.Sleep(time.Hour + time.Second)
		if _, _, ok, _ := r.keeper.Session("main"); ok {
			t.Error("of a dead token")
		}
		_ = gen.end()
	})
}
