package refresh_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What other programs write into a shared file is shown by one who only observes; what is
// gone, older or damaged stays as it is, and its lock is not taken.
func TestObservingASharedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.accounts[0].Shared, r.observes = sharing.OnlyRead{File: r.accounts[0].Shared}, true
		r.restart()
		g := r.start()
		time.Sleep(time.Second) // what is gone is looked at again, and again
		old := r.record("one").Token
		if st := r.status("one"); st.Would != "refresh" || !st.Due.After(time.Now()) {
			t.Errorf("it would %s, at %s", st.Would, st.Due)
		}
		if _, err := os.Stat(r.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file was made: %v", err)
		}
		first := func(want string) {
			t.Helper()
			if st := r.status("one"); st.WouldFirst != want {
				t.Errorf("before that it would say %q, want %q", st.WouldFirst, want)
			}
		}
		first("the shared file is not there, and our newest token would be put there")
		for version := uint64(2); version < 4; version++ {
			r.botRefreshes(false)
			r.keeper.Touch("one")
			time.Sleep(time.Second)
			synctest.Wait()
			r.wants(version, store.OriginExternal)
		}
		unchanged := func(what string) {
			t.Helper()
			before, err := os.ReadFile(r.path)
			if err != nil {
				t.Fatal(err)
			}
			r.keeper.Touch("one")
			time.Sleep(2 * time.Hour)
			r.keeper.Look()
			synctest.Wait()
			after, err := os.ReadFile(r.path)
			beside, rerr := os.ReadDir(filepath.Dir(r.path))
			if string(after) != string(before) || len(beside) != 1 || err != nil || rerr != nil {
				t.Errorf("%s: it was changed, or something beside it made: %v, %v, %v", what, beside, err, rerr)
			}
		}
		first("")
		unchanged("long due")
		r.botWrites(old, false)
		unchanged("older than ours")
		if err := os.Truncate(r.path, 20); err != nil {
			t.Fatal(err)
		}
		unchanged("damaged")
		first("the shared file is empty or damaged, and our newest token would be put there")
		r.wants(3, store.OriginExternal)
		if st := r.status("one"); st.Would != "refresh" || st.Due.After(time.Now()) || st.Waiting != promise.None || r.broker.count() != 0 {
			t.Errorf("it would %s, due %s, waits for %q; %d requests", st.Would, st.Due, st.Waiting, r.broker.count())
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}
