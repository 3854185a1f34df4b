package record_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// TestWholeGrantIsKnown: a record tells its past refresh tokens apart, 20,000
// of them, also after it was stored, and none is called past that is not.
func TestWholeGrantIsKnown(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	const last = 20_500
	r := record.Record{Account: "a"}
	for n := 1; n <= last; n++ {
		r = r.Next(recordtest.Token(n), record.OriginRefresh, "", time.Unix(int64(n), 0))
	}
	if kept := len(r.Fingerprints) + len(r.Past)/record.FingerprintSize; kept != 20_000 {
		t.Errorf("%d are kept", kept)
	}
	b, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := new(record.Decoder).Record("a", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []record.Record{r, stored} {
		for n := 1; n <= last+10; n++ {
			want := n < last && n >= last-20_000
			if near := min(abs(n-last), abs(n-(last-20_000))); near > 40 && n%101 != 0 {
				continue // each costs a walk through all of them
			}
			if got := r.Replaced(recordtest.Token(n).RefreshToken.Fingerprint()); got != want {
				t.Fatalf("token %d of %d: past %t, want %t", n, last, got, want)
			}
		}
		for _, odd := range []string{"", "x", "0123456789abcde", "0123456789abcdef01"} {
			if r.Replaced(odd) {
				t.Errorf("%q is called past", odd)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

// TestPastIsNotShared: two successors of one record do not write into each
// other's past.
func TestPastIsNotShared(t *testing.T) {
	r := record.Record{Account: "a"}
	for n := 1; n <= 40; n++ {
		r = r.Next(recordtest.Token(n), record.OriginRefresh, "", time.Unix(int64(n), 0))
	}
	one, other := r.Next(recordtest.Token(100), record.OriginRefresh, "", time.Now()), r
	other.Fingerprints = append([]string{}, r.Fingerprints...)
	other.Fingerprints[record.KeptFingerprints-1] = "ffffffffffffffff"
	other = other.Next(recordtest.Token(101), record.OriginRefresh, "", time.Now())
	if one.Replaced("ffffffffffffffff") || !other.Replaced("ffffffffffffffff") {
		t.Error("the past of one record is that of another")
	}
}
