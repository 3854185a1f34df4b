package record_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// A record with a time that no token can have, as another program may store for
// an expiry that it does not know, reads as one whose end is not known.
func TestImpossibleTimesAreNotKnown(t *testing.T) {
	year0 := time.Time{}.Add(-20 * time.Minute)
	old, err := json.Marshal(map[string]any{
		"account": "saxo-live", "version": 1,
		"login_at": time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), "refresh_expiry": time.Unix(-1<<35, 0).UTC(),
		"token": map[string]any{"access_token": "a", "refresh_token": "r", "issued_at": year0, "lifetime": "20m0s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := new(record.Decoder).Record("saxo-live", old)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Token.IssuedAt.IsZero() || !r.Token.Expiry().IsZero() || !r.LoginAt.IsZero() || !r.RefreshExpiry.IsZero() {
		t.Errorf("issued %v, expiry %v, login %v, refresh expiry %v", r.Token.IssuedAt, r.Token.Expiry(), r.LoginAt, r.RefreshExpiry)
	}
	// A token is stored whatever its times are.
	r.Token.IssuedAt = time.Unix(1<<60, 0)
	r.RefreshExpiry, r.Health.LastFailure = year0, time.Unix(-1<<60, 0)
	b, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = new(record.Decoder).Record("saxo-live", b); err != nil || !r.Token.Expiry().IsZero() || !r.RefreshExpiry.IsZero() {
		t.Errorf("expiry %v, refresh expiry %v, %v", r.Token.Expiry(), r.RefreshExpiry, err)
	}
}
