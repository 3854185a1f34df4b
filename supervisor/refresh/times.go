package refresh

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// skewTolerated is more than the seconds that a Date is rounded by and an
// answer takes, and less than matters to a token.
const skewTolerated = time.Minute

// tellSkew says that this machine's clock is wrong, once. Tokens are issued
// and die by this clock, so they are kept alive all the same; but elsewhere
// the moments that consumers are told are wrong.
func (k *Keeper) tellSkew(skew time.Duration) {
	k.mu.Lock()
	news := skew != 0 && (skew-k.skew).Abs() > skewTolerated
	if news {
		k.skew = skew
	}
	k.mu.Unlock()
	if !news || skew.Abs() <= skewTolerated {
		return
	}
	is := "behind"
	if skew < 0 {
		is = "ahead of"
	}
	k.cfg.Log.Warn(fmt.Sprintf("this machine's clock is %s %s the server's. Tokens are kept alive all the same, "+
		"but programs on other machines see a wrong expiry: set the clock", skew.Abs().Round(time.Second), is),
		"provider", k.cfg.Provider)
}

// refreshExpiry is when rec's refresh token dies, as far as anybody says; zero:
// nobody does.
func refreshExpiry(rec store.Record, p sdk.Policy) time.Time {
	switch t := rec.Token; {
	case t.RefreshLifetime > 0:
		return moment.Add(t.IssuedAt, t.RefreshLifetime)
	case p.RefreshLifetime <= 0:
		return time.Time{}
	case p.Sliding:
		return moment.Add(t.IssuedAt, p.RefreshLifetime)
	default:
		return moment.Add(rec.LoginAt, p.RefreshLifetime)
	}
}
