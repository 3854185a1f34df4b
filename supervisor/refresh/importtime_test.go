package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
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
