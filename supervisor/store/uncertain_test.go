package store

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A token whose lifetime was assumed says so after a restart, in the layout
// that stands in testdata.
func TestUncertainLifetimeIsStored(t *testing.T) {
	want := golden()
	want.Token.Uncertain = true
	b, err := os.ReadFile(filepath.Join("testdata", formatVersion, "record-uncertain.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := open("saxo-live", compact(t, b))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, r, want)
	if !r.Token.Uncertain {
		t.Error("the token is certain")
	}
	if written, err := seal(want); err != nil || !bytes.Equal(written, compact(t, b)) {
		t.Errorf("wrote\n%s (%v)", written, err)
	}
}

// The layout keeps the mark where a program that does not know it keeps it too:
// such a program takes it for a field of a newer one.
func TestUncertainLifetimeOutlivesAnOlderProgram(t *testing.T) {
	if !known["expiry_uncertain"] {
		t.Fatal("the mark does not stand at the top level of a record, where older programs keep what they do not know")
	}
}

// A record with a time that no token can have, as an older program stored for
// an expiry that it did not know, reads as one whose end is not known.
func TestImpossibleTimesAreNotKnown(t *testing.T) {
	lifetime, year0 := span(20*time.Minute), time.Time{}.Add(-20*time.Minute)
	old, err := json.Marshal(recordLayout{
		Format: formatVersion, Account: "saxo-live", Version: 1,
		LoginAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), RefreshExpiry: time.Unix(-1<<35, 0).UTC(),
		Token: tokenLayout{AccessToken: "a", RefreshToken: "r", IssuedAt: year0, Lifetime: lifetime},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := open("saxo-live", sign(old))
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
