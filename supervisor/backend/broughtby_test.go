package backend

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Who asks for the next token is told what has brought it.
func TestWhatBroughtAToken(t *testing.T) {
	for _, c := range []struct {
		rec   store.Record
		asked bool
		want  string
	}{
		{store.Record{Origin: store.OriginRefresh}, true, control.ByRefresh},
		{store.Record{Origin: store.OriginRefresh, Way: store.WayRenew}, true, control.ByRenewal},
		{store.Record{Origin: store.OriginMint, Way: store.WayMint}, true, control.ByMint},
		{store.Record{Origin: store.OriginMint, Way: store.WayRefresh}, true, control.ByMint},
		{store.Record{Origin: store.OriginLogin}, true, ""},
		{store.Record{Origin: store.OriginRefresh}, false, ""},
	} {
		if got := broughtBy(c.rec, c.asked); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}
