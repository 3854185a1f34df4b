package refresh_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// leaveBoth makes the store and the spool as a death leaves them while the exchange of
// a code stands over a refresh of account one, which had come that far.
func (r *rig) leaveBoth(refreshed, exchanged spool.Progress, old, login sdk.Token) {
	r.t.Helper()
	ctx, rec := r.t.Context(), r.record("one")
	sp, err := spool.Open(ctx, filepath.Join(r.dir, "spool"), 4)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = sp.Close() }()
	in := store.Intent{
		Account: "one", Provider: "fake", Attempt: "old", Kind: spool.KindRefresh, Version: rec.Version, Grant: rec.Grant,
		Fingerprint: rec.Token.RefreshToken.Fingerprint(), At: r.wall(), Boot: r.boot, Spool: sp.Contents().ID, Until: r.wall().Add(35 * time.Second),
	}
	code := in
	code.Attempt, code.Kind, code.Fingerprint, code.Before = "code", spool.KindExchange, "", &in
	if err := r.store.Intend(ctx, in); err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Replace(ctx, in.Attempt, code); err != nil {
		r.t.Fatal(err)
	}
	for _, s := range []struct {
		of       store.Intent
		progress spool.Progress
		answer   sdk.Token
	}{{in, refreshed, old}, {code, exchanged, login}} {
		if s.progress == "" {
			continue
		}
		slot, _, err := sp.Begin(spool.Header{Attempt: s.of.Attempt, Account: "one", Kind: s.of.Kind, Version: s.of.Version, Fingerprint: s.of.Fingerprint})
		if err == nil && s.progress == spool.Answered {
			err = slot.Record(encodeAnswer(s.answer))
		} else if err == nil {
			err = slot.Advance(s.progress)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// Whatever a death leaves of a refresh and of the code that has taken its place: the
// login counts if it was answered, and the old grant's answer is kept; otherwise
// the refresh counts as if there had been no code.
func TestADeathLeavesACodeOverARefresh(t *testing.T) {
	windows := []spool.Progress{"", spool.Ready, spool.Sent, spool.Answered}
	for _, exchanged := range windows {
		for _, refreshed := range windows {
			t.Run("code "+string(exchanged)+", refresh "+string(refreshed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					sent := r.record("one").Token.RefreshToken.Reveal()
					old := r.broker.grant("one")
					login := r.broker.grant("one")
					works := map[bool]sdk.Token{true: login, false: old}[exchanged == spool.Answered]
					if exchanged != spool.Answered && refreshed != spool.Answered {
						works = r.record("one").Token
					}
					r.broker.expect("one", works)
					r.leaveBoth(refreshed, exchanged, old, login)
					r.restart()
					g := r.start()
					synctest.Wait()

					rec, posts := r.record("one"), r.broker.count()
					in, stands, err := r.store.Intent(t.Context(), "one")
					if err != nil {
						t.Fatal(err)
					}
					switch {
					case exchanged == spool.Answered:
						if !rec.Token.RefreshToken.Equal(login.RefreshToken) || rec.Origin != store.OriginLogin || stands || posts != 0 {
							t.Errorf("version %d by %s, an intent stands: %t, %d POSTs; want the login's token", rec.Version, rec.Origin, stands, posts)
						}
						kept := len(rec.Evidence) == 1 && rec.Evidence[0].Attempt == "old" && rec.Evidence[0].Token.RefreshToken.Equal(old.RefreshToken)
						if kept != (refreshed == spool.Answered) {
							t.Errorf("the old grant's answer is kept: %t", kept)
						}
					case refreshed == spool.Answered:
						if !rec.Token.RefreshToken.Equal(old.RefreshToken) || rec.Origin != store.OriginRefresh || stands || posts != 0 {
							t.Errorf("version %d by %s, an intent stands: %t, %d POSTs; want the refresh's token", rec.Version, rec.Origin, stands, posts)
						}
					case refreshed == spool.Sent:
						if !stands || in.Attempt != "old" || in.AmbiguousSince.IsZero() || posts != 0 {
							t.Errorf("an intent stands: %t %+v, %d POSTs; want the refresh, of which nobody knows the outcome", stands, in, posts)
						}
					default: // never sent, so it is made anew
						if rec.Version != 2 || stands || r.broker.posts[sent] != 1 || r.broker.refusals() != 0 {
							t.Errorf("version %d, an intent stands: %t, %d POSTs", rec.Version, stands, posts)
						}
					}
					_ = g.end()
					sp, err := spool.Open(t.Context(), filepath.Join(r.dir, "spool"), 4)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = sp.Close() }()
					if left := sp.Unsettled(); len(left) != 0 {
						t.Errorf("the spool still holds %+v", left)
					}
				})
			})
		}
	}
}
