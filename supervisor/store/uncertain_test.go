package store

import (
	"encoding/json"
	"testing"
	"time"
)

// A record with a time that no token can have, as another program may store for
// an expiry that it does not know, reads as one whose end is not known.
func TestImpossibleTimesAreNotKnown(t *testing.T) {
	lifetime, year0 := span(20*time.Minute), time.Time{}.Add(-20*time.Minute)
	old, err := json.Marshal(recordLayout{
		Record: Record{
			Account: "saxo-live", Version: 1,
			LoginAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), RefreshExpiry: time.Unix(-1<<35, 0).UTC(),
		},
		Token: tokenLayout{AccessToken: "a", RefreshToken: "r", IssuedAt: year0, Lifetime: lifetime},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := open("saxo-live", old)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Token.IssuedAt.IsZero() || !r.Token.Expiry().IsZero() || !r.LoginAt.IsZero() || !r.RefreshExpiry.IsZero() {
		t.Errorf("issued %v, expiry %v, login %v, refresh expiry %v", r.Token.IssuedAt, r.Token.Expiry(), r.LoginAt, r.RefreshExpiry)
	}
	// A token is stored whatever its times are.
	r.Token.IssuedAt = time.Unix(1<<60, 0)
	r.RefreshExpiry, r.Health.LastFailure = year0, time.Unix(-1<<60, 0)
	b, err := seal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = open("saxo-live", b); err != nil || !r.Token.Expiry().IsZero() || !r.RefreshExpiry.IsZero() {
		t.Errorf("expiry %v, refresh expiry %v, %v", r.Token.Expiry(), r.RefreshExpiry, err)
	}
}
