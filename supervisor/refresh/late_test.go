package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// An answer is stored long after it came, and another program has gone on from
// the shared file meanwhile, or logged in: its token is taken, and not lost.
func TestALateAnswerIsNotWrittenOverANewerToken(t *testing.T) {
	for name, late := range map[string]func(*sharedRig) (stored func() *generation){
		"it waited in the spool for the next start": func(r *sharedRig) func() *generation {
			g := r.start()
			r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
			time.Sleep(15*time.Minute + time.Second)
			_ = g.died()
			return func() *generation {
				r.restart()
				return r.start()
			}
		},
		"the disk of the store refused it": func(r *sharedRig) func() *generation {
			disk := &badDisk{Store: r.store}
			r.store = disk
			r.restart()
			g := r.start()
			synctest.Wait()
			disk.fail(false, true)
			time.Sleep(15*time.Minute + time.Second)
			return func() *generation {
				disk.fail(false, false)
				time.Sleep(2 * time.Minute)
				return g
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				r.botWrites(r.record("one").Token, true)
				stored := late(r)
				time.Sleep(10 * time.Minute)
				theirs := r.botRefreshes(true)
				time.Sleep(time.Minute)
				g := stored()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if s := r.status("one"); !s.Record.Token.RefreshToken.Equal(theirs.RefreshToken) || !r.inFile().RefreshToken.Equal(theirs.RefreshToken) {
					t.Errorf("the bot's token was not taken (version %d from %s), or is not in the file any more", s.Record.Version, s.Record.Origin)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) {
					t.Errorf("an hour later: state %s, asked %q", s.State, s.Asked)
				}
				_ = g.end()
			})
		})
	}
}
