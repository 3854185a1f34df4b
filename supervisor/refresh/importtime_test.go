package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A file that tells no time of a login is imported by force: of the same refresh
// token, what a person has said of it stands.
func TestAnImportWithoutALoginTimeUnsaysNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := fixedRig(t)
		said := r.wall().Add(-48 * time.Hour)
		rec, err := r.keeper.TellLogin(t.Context(), "one", sdk.Secret{}, said)
		if err != nil {
			t.Fatal(err)
		}
		file := store.Record{Account: "one", Token: rec.Token}
		if rec, err = r.keeper.Import(t.Context(), file, true); err != nil || !rec.LoginAt.Equal(said) || rec.RefreshExpiry.IsZero() {
			t.Errorf("the login was %v and ends %v, %v", rec.LoginAt, rec.RefreshExpiry, err)
		}
		file.Token.RefreshToken = sdk.NewSecret("of another login, perhaps")
		if rec, err = r.keeper.Import(t.Context(), file, true); err != nil || !rec.LoginAt.IsZero() {
			t.Errorf("with another refresh token: %v, %v", rec.LoginAt, err)
		}
		_ = g.end()
	})
}

// A login that has certainly ended is nothing that a new token would take the place of:
// neither a person has to insist, nor does a sink that holds it. Of one whose end is a
// guess the broker is asked first.
func TestAnImportAfterTheEndOfTheLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		ago     time.Duration
		guessed bool
		taken   bool
	}{
		"ended":               {8 * 24 * time.Hour, false, true},
		"ended, by a guess":   {8 * 24 * time.Hour, true, false},
		"it ends in a moment": {7*24*time.Hour - time.Second, false, false},
	} {
		for _, origin := range []store.Origin{store.OriginImport, store.OriginRestore} {
			t.Run(name+", "+string(origin), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					rec := r.record("one")
					rec.Origin, rec.LoginAt, rec.LoginUncertain = store.OriginRefresh, r.wall().Add(-tt.ago), tt.guessed
					rec.RefreshExpiry = rec.LoginAt.Add(7 * 24 * time.Hour)
					r.restored(rec)
					r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
					d, err := r.broker.Describe(t.Context())
					r.must(err)
					r.keeper.Meet(d)
					got, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one"), LoginAt: r.wall(), Origin: origin}, false)
					switch {
					case tt.taken && (err != nil || got.Version != 2):
						t.Errorf("version %d, %v", got.Version, err)
					case !tt.taken && !errors.Is(err, refresh.ErrHasToken):
						t.Errorf("version %d, %v; want the error that it has a token", got.Version, err)
					}
				})
			})
		}
	}
}
