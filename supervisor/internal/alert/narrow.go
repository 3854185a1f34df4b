package alert

import (
	"math/bits"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

const (
	// few is how many accounts may come and go one by one, each of them told.
	few = 10
	// listed is how many accounts of an alert a sink is told by name.
	listed = 100
)

// notable says whether people are told that so many accounts have the trouble:
// each of the first few, and then whenever there are twice as many.
func notable(count int) bool {
	return count <= few || count%few == 0 && bits.OnesCount(uint(count/few)) == 1
}

// Wants says whether somebody may know an account of a provider. The account
// may be one that is not configured any more.
type Wants func(account, provider string) bool

// Narrow is what one who knows only the accounts that it wants, nil: all, may
// see of a whole alert; ok is false if that is nothing. The version is the one
// of the newest change that is notable in this list: whoever has been told of
// it, as the ledger says, need not be told.
func Narrow(whole event.Alert, wants Wants) (a event.Alert, ok bool) {
	var has, had []event.Affected
	var came, went uint64 // the newest versions
	var since time.Time
	for _, m := range whole.Affected {
		switch {
		case wants != nil && m.Account != "" && !wants(m.Account, whole.Provider):
			continue
		case m.Until.IsZero():
			has = append(has, m)
			if notable(len(has)) {
				came = max(came, m.Version)
			}
		case wants == nil && m.Until.Before(whole.Since):
			continue // it is of an earlier alert of this key
		default:
			had = append(had, m)
			went = max(went, m.Version)
		}
		since = moment.Earlier(since, m.Since)
	}
	if len(has)+len(had) == 0 {
		return event.Alert{}, false
	}
	a = whole
	a.Version = came
	if len(has) <= few {
		a.Version = max(came, went)
	}
	switch {
	case len(has) == 0:
		a.State = event.AlertRecovered
	case a.Version == whole.Version && whole.State == event.AlertRepeated, a.Version != came:
		a.State = event.AlertRepeated
	default:
		a.State = event.AlertRaised
	}
	if a.Version != whole.Version {
		a.ChangedAt = time.UnixMilli(int64(a.Version)).UTC()
	}
	if wants != nil {
		a.Since = since
	}
	a.Affected = has
	if len(has) == 0 {
		a.Affected = had
	}
	a.Accounts = len(a.Affected)
	if a.Accounts == 1 {
		a.Account = a.Affected[0].Account
	}
	a.Message = sentence(a, describe(a, had))
	if a.Accounts == 1 && a.Account == "" { // it is not one of accounts
		a.Affected, a.Accounts = nil, 0
	}
	return a, true
}
