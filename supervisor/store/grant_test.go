package store

import (
	"testing"
	"time"
)

// Each version tells its grant and the refresh token that it was obtained with,
// also after it was stored.
func TestNextTellsItsLineage(t *testing.T) {
	fp := func(n int) string { return tokenOf(n).RefreshToken.Fingerprint() }
	r := Record{Account: "a"}
	for n, step := range []struct {
		origin Origin
		grant  uint64
		parent string
	}{
		{OriginImport, 1, ""},
		{OriginRefresh, 1, fp(0)},
		{OriginRefresh, 1, fp(1)},
		{OriginLogin, 2, ""},
		{OriginRefresh, 2, fp(3)},
		{OriginExternal, 2, ""},
		{OriginRefresh, 2, fp(5)},
		{OriginRestore, 2, ""},
		{OriginImport, 3, ""},
	} {
		r = r.Next(tokenOf(n), step.origin, "", time.Unix(1, 0))
		b, err := seal(r)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := open("a", b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []Record{r, stored} {
			if r.Grant != step.grant || r.Parent != step.parent {
				t.Errorf("version %d from %s: grant %d, parent %q; want %d, %q", r.Version, r.Origin, r.Grant, r.Parent, step.grant, step.parent)
			}
		}
	}
	if first := (Record{Account: "a"}).Next(tokenOf(1), OriginExternal, "", time.Now()); first.Grant != 1 {
		t.Errorf("the first version, found somewhere, is of grant %d", first.Grant)
	}
}

// What is kept beside a record makes no version of its own: of two copies of one
// version the one counts in which it was kept last.
func TestTheNewestOfTwoCopiesHasWhatWasKeptBeside(t *testing.T) {
	plain := wholeRecord()
	plain.Evidence, plain.Candidate = nil, nil
	evident, waiting := plain, plain
	evident.Evidence, waiting.Candidate = wholeRecord().Evidence, wholeRecord().Candidate
	for name, r := range map[string]Record{"evidence": evident, "a candidate": waiting} {
		if !newer(r, plain) || newer(plain, r) || newer(r, r) {
			t.Errorf("%s does not count", name)
		}
	}
	if next := plain.Next(plain.Token, OriginRefresh, "a", plain.StoredAt); !newer(next, evident) {
		t.Error("a copy of an earlier version counts more")
	}
}
