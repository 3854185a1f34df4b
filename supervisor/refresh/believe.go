package refresh

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

const (
	// assumedLifetime is for an answer of a broker of which nobody knows how
	// long its tokens live.
	assumedLifetime = 20 * time.Minute
	// longestLife is the longest that a server's word on an access token is
	// believed.
	longestLife = schedule.Farthest
	// farOff is by how many times a lifetime must differ from the known one to
	// be odd, and thousandfold from where on the unit looks wrong.
	farOff       = 10
	thousandfold = 300
)

// believe bounds what an answer says of its token's times, before it enters a
// record: a provider may be anybody's. doubt is what a person should hear of
// it; "": nothing.
func believe(t sdk.Token, p sdk.Policy, now time.Time) (_ sdk.Token, doubt string) {
	if !moment.Sane(t.IssuedAt) {
		t.IssuedAt = now
	}
	if t.RefreshLifetime < 0 || t.RefreshLifetime > longestLife {
		t.RefreshLifetime = 0 // as good as no end that is known
	}
	if t.Lifetime == 0 {
		if t.Lifetime = p.AccessLifetime; t.Lifetime <= 0 {
			t.Lifetime = assumedLifetime
		}
		t.Uncertain = true
		return t, ""
	}
	if said := t.Lifetime; said.Abs() > longestLife || said == -said { // the least duration has no opposite
		t.Lifetime = moment.Within(said, -longestLife, longestLife)
	}
	if t.Uncertain || t.Lifetime < 0 || p.AccessLifetime <= 0 {
		return t, ""
	}
	more, less := t.Lifetime/p.AccessLifetime, p.AccessLifetime/t.Lifetime
	if more < farOff && less < farOff {
		return t, ""
	}
	doubt = fmt.Sprintf("the broker says that this access token lives %s, and such tokens are known to live %s", t.Lifetime, p.AccessLifetime)
	if max(more, less) >= thousandfold {
		doubt += " (milliseconds for seconds?)"
	}
	return t, doubt + "; the broker is believed. If consumers are refused before that, set refresh.every for this account"
}
