package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Through a week an account that has nothing but a key always has a token, whatever
// ends the provider and the supervisor, and nobody logs in.
func TestMintedForAWeek(t *testing.T) {
	for _, repeat := range []sdk.Repeat{"", sdk.RepeatReplaces, sdk.RepeatLimited, sdk.RepeatHarmless} {
		synctest.Test(t, func(t *testing.T) {
			b := &mint{minter: newMinter(90*time.Minute, repeat)}
			r := newMintRig(t, b, b.lifetime)
			defer r.watch()()
			gen := r.start()
			synctest.Wait()
			r.works(&b.minter, "at the start")
			for step := range 7 * 24 * 12 {
				switch step % 500 {
				case 200:
					gen.kill()
					if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
						t.Fatal(err)
					}
					gen = r.start()
				case 300:
					if err := gen.end(); err != nil {
						t.Fatal(err)
					}
					r.restart()
					gen = r.start()
				}
				time.Sleep(5 * time.Minute)
				r.keeper.Look()
				synctest.Wait()
				r.works(&b.minter, fmt.Sprint("step ", step))
			}
			rec := r.record("main")
			if n := b.requests(); n < 7*24*60/90 || n > 200 || rec.Version != uint64(n) || rec.Grant != rec.Version || rec.Parent != "" || rec.Way != store.WayMint || rec.Origin != store.OriginMint {
				t.Errorf("%d requests, version %d, grant %d, parent %q, %q, %q", n, rec.Version, rec.Grant, rec.Parent, rec.Way, rec.Origin)
			}
			if !rec.RefreshExpiry.IsZero() || !rec.LoginAt.IsZero() {
				t.Errorf("it ends %s, and somebody logged in %s", rec.RefreshExpiry, rec.LoginAt)
			}
			if n := r.count(event.NeedsLogin) + r.count(event.RefreshFailed) + r.count(event.Ambiguous); n > 0 {
				t.Errorf("%d alarms", n)
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A supervisor that dies with the answer in the spool takes it at the next start, of
// the first token as of any, and sends nothing.
func TestMintedAnswerIsTakenFromTheSpool(t *testing.T) {
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := &mint{minter: newMinter(time.Hour, "")}
			r := newMintRig(t, b, b.lifetime)
			started := make(chan *generation, 1)
			die := func(*spool.Slot) error { (<-started).cut(); time.Sleep(time.Second); return nil }
			want := uint64(1)
			if !first {
				b.next(nil)
				want = 2
			}
			b.next(die)
			gen := r.start()
			started <- gen
			if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			gen.kill()
			r.restart()
			in, open, err := r.store.Intent(t.Context(), "main")
			if err != nil || !open || in.Kind != spool.KindMint || in.Version != want-1 || in.Fingerprint == "" {
				t.Fatalf("%+v, %t, %v", in, open, err)
			}
			gen = r.start()
			synctest.Wait()
			r.works(&b.minter, "after the restart")
			if rec := r.record("main"); rec.Version != want || rec.Grant != want || b.requests() != int(want) {
				t.Errorf("version %d, grant %d, %d requests", rec.Version, rec.Grant, b.requests())
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An answer that stands in the spool, and of which the store knows nothing because it
// was restored, or its record removed, is the account's.
func TestMintedAnswerOfAnEarlierStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, "")}
		r := newMintRig(t, b, b.lifetime)
		started := make(chan *generation, 1)
		b.next(func(*spool.Slot) error { (<-started).cut(); time.Sleep(time.Second); return nil })
		gen := r.start()
		started <- gen
		if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		gen.kill()
		r.store = store.NewMemory()
		r.restart()
		gen = r.start()
		synctest.Wait()
		r.works(&b.minter, "after the restart")
		if b.requests() != 1 {
			t.Errorf("%d requests", b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A lost answer, or a death in the middle, costs nobody anything. Where the next mint
// ends the token of the one before, it waits until that one is over.
func TestLostMint(t *testing.T) {
	lost := func(*spool.Slot) error { return sdk.ErrAmbiguous }
	for _, c := range []struct {
		name   string
		repeat sdk.Repeat
		first  bool // of an account without a token
		alarms int
		least  time.Duration // between the two requests
		most   time.Duration
	}{
		{"replaces", sdk.RepeatReplaces, false, 1, 30 * time.Second, 40 * time.Second},
		{"replaces, the first", sdk.RepeatReplaces, true, 1, 30 * time.Second, 40 * time.Second},
		{"limited", sdk.RepeatLimited, false, 1, 30 * time.Second, 40 * time.Second},
		{"nobody says", "", true, 1, 30 * time.Second, 40 * time.Second},
		{"harmless", sdk.RepeatHarmless, false, 0, time.Second, 10 * time.Second},
		{"harmless, the first", sdk.RepeatHarmless, true, 0, time.Second, 10 * time.Second},
	} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, dies %t", c.name, dies), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &mint{minter: newMinter(time.Hour, c.repeat)}
					r := newMintRig(t, b, b.lifetime)
					defer r.watch()()
					started := make(chan *generation, 1)
					fault := lost
					if dies {
						fault = func(*spool.Slot) error { (<-started).kill(); return sdk.ErrAmbiguous }
					}
					n := 0
					if !c.first {
						b.next(nil)
						n = 1
					}
					b.next(fault)
					gen := r.start()
					started <- gen
					if dies {
						if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
							t.Fatal(err)
						}
						r.restart()
						gen = r.start()
					}
					time.Sleep(58 * time.Minute)
					synctest.Wait()
					r.works(&b.minter, "after it")
					if got := r.count(event.Ambiguous); got != c.alarms {
						t.Errorf("%d alarms", got)
					}
					if n := r.count(event.NeedsLogin); n > 0 {
						t.Errorf("%d logins are asked for", n)
					}
					if len(b.minted) < n+2 {
						t.Fatalf("%d requests", len(b.minted))
					}
					least := c.least
					if dies && c.repeat == sdk.RepeatHarmless {
						least = 0 // the process that is gone has failed, not the broker
					}
					if took := b.minted[n+1].Sub(b.minted[n]); took < least || took > c.most {
						t.Errorf("minted again after %s", took)
					}
					for _, e := range r.events {
						if e.Type == event.Ambiguous && (strings.Contains(e.Message, "refresh token") || !strings.Contains(e.Message, "Another one is minted")) {
							t.Error(e.Message)
						}
					}
					if err := gen.end(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A key that the broker refuses is not presented again, over restarts, until another
// one is configured, which is at once, or a person insists.
func TestRefusedKey(t *testing.T) {
	for _, first := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := &mint{minter: newMinter(time.Hour, "")}
			r := newMintRig(t, b, b.lifetime)
			defer r.watch()()
			if first {
				b.takes("another")
			}
			gen := r.start()
			synctest.Wait()
			b.takes("another")
			time.Sleep(3 * time.Hour)
			n := b.requests()
			if s := r.status("main"); s.State != refresh.NeedsLogin || n != 1 && !(n == 2 && !first) || !s.Due.IsZero() || !refresh.KeyRefused(s.Record) {
				t.Errorf("%s, %d requests, due %s", s.State, n, s.Due)
			}
			if _, err := r.keeper.Refresh(t.Context(), "main", false); !errors.Is(err, refresh.ErrNeedsLogin) || strings.Contains(err.Error(), "log in") || !strings.Contains(err.Error(), "client_secret") {
				t.Error(err)
			}
			if _, err := r.keeper.Refresh(t.Context(), "main", true); !errors.Is(err, sdk.ErrInvalidGrant) || b.requests() != n+1 {
				t.Errorf("%v, %d requests", err, b.requests())
			}
			for _, e := range r.events {
				if e.Type == event.NeedsLogin && (strings.Contains(e.Message, "tokenkeeper login") || !strings.Contains(e.Message, "client_secret")) {
					t.Error(e.Message)
				}
			}
			if r.count(event.NeedsLogin) != 2 {
				t.Errorf("told %d times", r.count(event.NeedsLogin))
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
			if !first {
				r.restart()
				gen = r.start()
				time.Sleep(3 * time.Hour)
				if b.requests() != n+1 || r.status("main").State != refresh.NeedsLogin {
					t.Errorf("after a restart: %d requests, %s", b.requests(), r.status("main").State)
				}
				if err := gen.end(); err != nil {
					t.Error(err)
				}
			}
			r.keyed("another")
			gen = r.start()
			synctest.Wait()
			r.works(&b.minter, "with the other key")
			if rec := r.record("main"); rec.Health != (store.Health{}) {
				t.Errorf("%+v", rec.Health)
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A key that is refused, and then accepted though nothing of the configuration was
// changed, is presented when a person insists, and then by itself.
func TestRefusedKeyByAPersonsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, "")}
		r := newMintRig(t, b, b.lifetime)
		b.takes("another")
		gen := r.start()
		synctest.Wait()
		b.takes("the-key")
		if done, err := r.keeper.Refresh(t.Context(), "main", true); err != nil || !done {
			t.Error(done, err)
		}
		time.Sleep(3 * time.Hour)
		r.works(&b.minter, "after that")
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// Another key than the one that was refused is presented at once, though the token that
// stands would live for a while.
func TestAnotherKeyIsPresentedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, sdk.RepeatHarmless)}
		r := newMintRig(t, b, b.lifetime)
		gen := r.start()
		synctest.Wait()
		b.takes("another")
		if _, err := r.keeper.Refresh(t.Context(), "main", true); !errors.Is(err, sdk.ErrInvalidGrant) || !strings.Contains(err.Error(), "client_secret") {
			t.Error(err)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
		r.keyed("another")
		gen = r.start()
		synctest.Wait()
		r.works(&b.minter, "with the other key")
		if rec := r.record("main"); rec.Version != 2 || b.requests() != 3 {
			t.Errorf("version %d, %d requests", rec.Version, b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
