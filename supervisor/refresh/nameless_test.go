package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// A provider that does not name its spool: tokens are refreshed, and an answer in
// the spool is taken, as of any other. Only that nothing was sent is believed of
// no such spool: nobody knows whether it is the same one.
func TestProviderThatNamesNoSpool(t *testing.T) {
	for name, tt := range map[string]struct {
		die       window
		ambiguous bool
	}{
		"it dies before it sends":      {beforeSend, true},
		"it dies with the answer kept": {spooled, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.nameless()
				defer r.watch()()
				g := r.start()
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				if s := r.status("one"); s.Record.Version != 2 || s.State != refresh.Valid || r.count(event.Ambiguous) != 0 {
					t.Errorf("an ordinary refresh: state %s at version %d", s.State, s.Record.Version)
				}
				r.broker.next("one", fault{die: tt.die, kill: func() { g.kill() }})
				time.Sleep(15*time.Minute + time.Second)
				_ = g.died()
				if in, stands, err := r.store.Intent(t.Context(), "one"); err != nil || !stands || in.Spool != "" {
					t.Errorf("the attempt stands: %t, in spool %q (%v)", stands, in.Spool, err)
				}
				r.restart()
				g = r.start()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := r.status("one"); tt.ambiguous != (s.Record.Version == 2) {
					t.Errorf("within the attempt's time: state %s at version %d", s.State, s.Record.Version)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 {
					t.Errorf("afterwards: state %s at version %d", s.State, s.Record.Version)
				}
				if told := r.count(event.Ambiguous); (told > 0) != tt.ambiguous {
					t.Errorf("told %d times that nobody knows", told)
				}
				if n := len(r.broker.sentTwice()); n != 0 {
					t.Errorf("%d refresh tokens were sent twice", n)
				}
				_ = g.end()
			})
		})
	}
}
