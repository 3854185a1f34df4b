package refresh_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// deadShared does not answer until it is back.
type deadShared struct {
	sharing.File
	back chan struct{}
}

func (f deadShared) Read() (format.Document, error) { <-f.back; return f.File.Read() }
func (f deadShared) Replaceable() error             { <-f.back; return f.File.Replaceable() }

// A shared file whose disk does not answer is its own account's trouble: whoever looks
// at everything goes on, a generation begins, and the provider's other accounts are
// refreshed. Once the disk is back the account is too.
func TestDeadDiskUnderASharedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sharedRig{rig: newRig(t, 20*time.Minute, "one", "two")}
		r.path = filepath.Join(t.TempDir(), "tokens.json")
		file, err := sharedfile.New(sharedfile.Config{Path: r.path, Format: format.SaxoCache, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		back := make(chan struct{})
		r.accounts[0].Shared = deadShared{file, back}
		r.restart()
		g := r.start()
		for range 120 {
			time.Sleep(30 * time.Second)
			began := time.Now()
			r.keeper.Look()
			if took := time.Since(began); took > 0 {
				t.Fatalf("a look has waited %s for a disk", took)
			}
		}
		if v := r.record("two").Version; v < 4 {
			t.Errorf("version %d of the other account after an hour, want 4", v)
		}
		close(back)
		time.Sleep(time.Minute)
		r.wants(2, store.OriginRefresh)
		_ = g.end()
	})
}
