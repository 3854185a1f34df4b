package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func tokenOf(n int) sdk.Token {
	return sdk.Token{AccessToken: sdk.NewSecret(fmt.Sprint("a", n)), RefreshToken: sdk.NewSecret(fmt.Sprint("r", n))}
}

// TestWholeGrantIsKnown: a record tells its past refresh tokens apart, 20,000
// of them, also after it was stored, and none is called past that is not.
func TestWholeGrantIsKnown(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	const last = 20_500
	r := Record{Account: "a"}
	for n := 1; n <= last; n++ {
		r = r.Next(tokenOf(n), OriginRefresh, "", time.Unix(int64(n), 0))
	}
	if kept := len(r.Fingerprints) + len(r.Past)/fingerprintSize; kept != 20_000 {
		t.Errorf("%d are kept", kept)
	}
	b, err := seal(r)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := open("a", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{r, stored} {
		for n := 1; n <= last+10; n++ {
			want := n < last && n >= last-20_000
			if near := min(abs(n-last), abs(n-(last-20_000))); near > 40 && n%101 != 0 {
				continue // each costs a walk through all of them
			}
			if got := r.Replaced(tokenOf(n).RefreshToken.Fingerprint()); got != want {
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
	r := Record{Account: "a"}
	for n := 1; n <= 40; n++ {
		r = r.Next(tokenOf(n), OriginRefresh, "", time.Unix(int64(n), 0))
	}
	one, other := r.Next(tokenOf(100), OriginRefresh, "", time.Now()), r
	other.Fingerprints = append([]string{}, r.Fingerprints...)
	other.Fingerprints[keptFingerprints-1] = "ffffffffffffffff"
	other = other.Next(tokenOf(101), OriginRefresh, "", time.Now())
	if one.Replaced("ffffffffffffffff") || !other.Replaced("ffffffffffffffff") {
		t.Error("the past of one record is that of another")
	}
}

// BenchmarkCommitOfAWholeGrant compares a commit with 32 fingerprints and with
// 20,000.
func BenchmarkCommitOfAWholeGrant(b *testing.B) {
	for _, kept := range []int{32, 20_000} {
		b.Run(fmt.Sprint(kept), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "state"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			r := Record{Account: "a", Provider: "p"}
			for n := range kept {
				r = r.Next(tokenOf(n), OriginRefresh, "", time.Unix(int64(n+1), 0))
			}
			r.Version, r.Origin, r.Grant, r.Parent = 1, OriginImport, 1, "" // the first of the store
			if err := s.Commit(b.Context(), r); err != nil {
				b.Fatal(err)
			}
			for n := 0; b.Loop(); n++ {
				r = r.Next(tokenOf(kept+n), OriginRefresh, "", time.Unix(int64(kept+n), 0))
				if err := s.Commit(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
