package refresh

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
)

// A provider may be replaced by a build that does not implement a call any more, while
// an answer to that call waits in the spool. It may be the only copy of a token, so it
// stays there with its intent, until a build comes that can read it, or a person logs
// in anew.

// isSpooled says whether the answer to the attempt, which is settled, is in the spool.
func (a attempt) isSpooled() bool {
	e, ok := a.slot(a.in.Attempt)
	return ok && e.Progress == spool.Answered
}

// unreadable leaves the answer where it is, and tells.
func (a attempt) unreadable() error {
	err := a.say.errUnreadable()
	a.countFailure(sdk.KindTransient, err)
	a.tell(acct.Lost{})
	if spool.IsLogin(a.in.Kind) {
		a.desk().unreadable = a.in.Attempt
	}
	return err
}

// giveUpUnreadable frees the slot of such an answer to a login, which the provider puts
// aside: a person logs in anew.
func (a loggingIn) giveUpUnreadable() {
	if d := a.desk(); d.unreadable != "" {
		d.unfreed = append(d.unfreed, d.unreadable)
		d.unreadable = ""
	}
}
