package record_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// Each version tells its grant and the refresh token that it was obtained with,
// also after it was stored.
func TestNextTellsItsLineage(t *testing.T) {
	fp := func(n int) string { return recordtest.Token(n).RefreshToken.Fingerprint() }
	r := record.Record{Account: "a"}
	for n, step := range []struct {
		origin record.Origin
		grant  uint64
		parent string
	}{
		{record.OriginImport, 1, ""},
		{record.OriginRefresh, 1, fp(0)},
		{record.OriginRefresh, 1, fp(1)},
		{record.OriginLogin, 2, ""},
		{record.OriginRefresh, 2, fp(3)},
		{record.OriginExternal, 2, ""},
		{record.OriginRefresh, 2, fp(5)},
		{record.OriginRestore, 2, ""},
		{record.OriginImport, 3, ""},
	} {
		r = r.Next(recordtest.Token(n), step.origin, "", time.Unix(1, 0))
		b, err := record.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := new(record.Decoder).Record("a", b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []record.Record{r, stored} {
			if r.Grant != step.grant || r.Parent != step.parent {
				t.Errorf("version %d from %s: grant %d, parent %q; want %d, %q", r.Version, r.Origin, r.Grant, r.Parent, step.grant, step.parent)
			}
		}
	}
	if first := (record.Record{Account: "a"}).Next(recordtest.Token(1), record.OriginExternal, "", time.Now()); first.Grant != 1 {
		t.Errorf("the first version, found somewhere, is of grant %d", first.Grant)
	}
}
