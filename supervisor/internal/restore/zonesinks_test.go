package restore

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Which sink's zone is told does not depend on which answers first.
func TestZoneOfTwoSinksIsToldTheSame(t *testing.T) {
	a, b := refresh.Elsewhere{Zone: "x", ZoneSink: "a", Unheard: true}, refresh.Elsewhere{Zone: "y", ZoneSink: "b"}
	if one, two := better(better(refresh.Elsewhere{}, a, sdk.Policy{}, time.Now()), b, sdk.Policy{}, time.Now()), better(better(refresh.Elsewhere{}, b, sdk.Policy{}, time.Now()), a, sdk.Policy{}, time.Now()); one != two || !one.Unheard {
		t.Errorf("%v, %v", one, two)
	}
}
