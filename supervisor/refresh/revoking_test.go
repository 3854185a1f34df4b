package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// TestRevocationUnderWayIsNotUnknown: while the broker is asked its answer may come, and nobody
// is told to ask again; so it is of one that is asked once more.
func TestRevocationUnderWayIsNotUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevoking(t, "one")
		v.hears = func() {
			if s, rec := r.status("one"), r.record("one"); !s.RevokeUnknown.IsZero() || rec.Health.RevokeAsked.IsZero() {
				t.Errorf("while it is asked: unknown since %s, asked at %s", s.RevokeUnknown, rec.Health.RevokeAsked)
			}
		}
		for range 2 {
			v.set(errors.New("the answer was lost"), false)
			if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); !errors.Is(err, refresh.ErrRevokeUnknown) {
				t.Fatal(err)
			}
			if s := r.status("one"); !s.RevokeUnknown.Equal(r.record("one").Health.RevokeAsked) {
				t.Errorf("once it was asked: unknown since %s", s.RevokeUnknown)
			}
		}
		v.set(nil, false)
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); err != nil {
			t.Fatal(err)
		}
		if s := r.status("one"); !s.RevokeUnknown.IsZero() || s.Revoked.IsZero() {
			t.Errorf("once it is revoked: unknown since %s, revoked at %s", s.RevokeUnknown, s.Revoked)
		}
		_ = g.end()
	})
}
