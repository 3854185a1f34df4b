package refresh

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account/lease"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds in whose hands an account is while somebody works on it.

// answerMargin is how much longer than the attempt's own deadline the call to
// the provider may take, so that the provider's verdict still arrives.
const answerMargin = 5 * time.Second

// settleTimeout bounds the call that frees a spool slot.
const settleTimeout = 5 * time.Second

// leased is an account in the hands of who has its lease, and what he knows of it
// while he has.
type leased struct {
	*account
	lease *lease.Lease[desk]
	// remote is the process through which he works on it; nil: through none.
	remote *sdk.Remote
	// exchange is the code that is being spent; nil: none is.
	exchange *spending
	// underWay is the attempt whose call is made while a code is spent; "": none.
	underWay string
	// slots are what the spool holds of it, while it is settled; nil: it is not.
	slots []spool.Entry
}

// attempt is an account in the hands of who makes an attempt for it, or settles one.
type attempt struct {
	*leased
	in store.Intent
}

func (a *leased) attempt(in store.Intent) attempt { return attempt{a, in} }

func (a *leased) desk() *desk { return a.lease.Desk() }

// round is a turn of an account.
type round struct {
	*leased
	// ending is over when the generation ends.
	ending context.Context
	// ahead is what its destinations have said before its shared file was locked.
	ahead *inquiry
}

// answered is an attempt to which the broker has given a token.
type answered struct {
	attempt
	answer believed
}

// inquiry is what an account's destinations have said when its record had that
// version.
type inquiry struct {
	version uint64
	said    Elsewhere
}

// spending is a code, or what else a person has brought, for the login of that state.
type spending struct {
	state string
	code  sdk.Secret
	// login is the one that it ends, as long as it is being spent; aside: another person
	// has made it, and so its token waits beside.
	login *login.Login
	aside bool
	// done is closed when whoever refreshes the account has spent it; the outcome
	// stands below then.
	done chan struct{}
	rec  store.Record
	err  error
}
