package refresh_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
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
		if _, rec, ok := r.keeper.Session("main"); !ok || rec.Version != 1 {
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
		if _, _, ok := r.keeper.Session("main"); ok {
			t.Error("before the provider serves")
		}
		gen := r.start()
		synctest.Wait()
		kept := func(name string) bool { _, _, ok := r.keeper.Session(name); return ok }
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
			if _, _, ok := r.keeper.Session("one"); ok == others {
				t.Errorf("kept: %t, while others can steer it: %t", ok, others)
			}
			if _, _, ok := r.keeper.Session("other"); !ok {
				t.Error("the account that names no such file is not kept")
			}
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
