package refresh_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// leave puts an attempt into the rig's spool, beside others of its account: a
// slot that was settled can come back when the machine goes down before its
// clearing is on the disk.
func (r *rig) leave(h spool.Header, answer string) {
	r.t.Helper()
	dir := r.t.TempDir()
	sp, err := spool.Open(r.t.Context(), dir, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	slot, _, err := sp.Begin(h)
	if err == nil && answer != "" {
		err = slot.Record([]byte(answer))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	_ = sp.Close()
	b, err := os.ReadFile(filepath.Join(dir, "slot-000"))
	if err == nil {
		err = os.MkdirAll(filepath.Join(r.dir, "spool"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "spool", "slot-of-"+h.Attempt), b, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// However many attempts of one account stand in the spool, none of them blocks
// the next.
func TestLeftoversBlockNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		for i, attempt := range []string{"first", "second", "third"} {
			answer := ""
			if i < 2 {
				answer = string(encodeAnswer(r.record("one").Token))
			}
			r.leave(spool.Header{Attempt: attempt, Account: "one", Kind: spool.KindRefresh}, answer)
			time.Sleep(time.Second)
		}
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		rec := r.record("one")
		if rec.Version != 2 || !r.broker.holds("one", rec.Token.RefreshToken) {
			t.Errorf("version %d, want 2: a refresh", rec.Version)
		}
		_ = g.end()
	})
}

// An answer that nobody has stored is taken whatever stands beside it.
func TestLeftoversHideNoAnswer(t *testing.T) {
	for name, order := range map[string][]string{"behind": {"open", "over"}, "before": {"over", "open"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				rec := r.record("one")
				if err := r.store.Intend(t.Context(), store.Intent{
					Account: "one", Provider: "fake", Attempt: "open", Kind: spool.KindRefresh, Version: rec.Version,
					Fingerprint: rec.Token.RefreshToken.Fingerprint(), At: time.Now(), Boot: "an earlier one",
				}); err != nil {
					t.Fatal(err)
				}
				fresh := string(encodeAnswer(r.broker.grant("one")))
				for _, attempt := range order {
					answer := fresh
					if attempt == "over" {
						answer = string(encodeAnswer(rec.Token))
					}
					r.leave(spool.Header{Attempt: attempt, Account: "one", Kind: spool.KindRefresh, Version: rec.Version}, answer)
					time.Sleep(time.Second)
				}
				g := r.start()
				time.Sleep(time.Minute)
				synctest.Wait()
				rec = r.record("one")
				if rec.Version != 2 || rec.Attempt != "open" || !r.broker.holds("one", rec.Token.RefreshToken) {
					t.Errorf("version %d of attempt %q, want 2 of the one that is open", rec.Version, rec.Attempt)
				}
				_ = g.end()
			})
		})
	}
}
