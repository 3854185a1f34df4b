package alert

import (
	"context"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
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
	a = whole
	if len(whole.Affected) == 0 {
		return a, true
	}
	var has, had []event.Affected
	var came, went uint64 // the newest versions
	for _, m := range whole.Affected {
		switch {
		case wants != nil && !wants(m.Account, whole.Provider):
		case m.Until.IsZero():
			has = append(has, m)
			if notable(len(has)) {
				came = max(came, m.Version)
			}
		case wants == nil && m.Until.Before(whole.Since):
			// It is of an earlier alert of this key.
		default:
			had = append(had, m)
			went = max(went, m.Version)
		}
	}
	if len(has)+len(had) == 0 {
		return event.Alert{}, false
	}
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
		a.Since = earliest(has, had)
	}
	a.Affected = has
	if len(has) == 0 {
		a.Affected = had
	}
	a.Accounts, a.Account = len(a.Affected), ""
	if a.Accounts == 1 {
		a.Account = a.Affected[0].Account
	}
	a.Message = sentence(a, describe(a, had))
	return a, true
}

func earliest(lists ...[]event.Affected) (at time.Time) {
	for _, m := range slices.Concat(lists...) {
		if at.IsZero() || m.Since.Before(at) {
			at = m.Since
		}
	}
	return at
}

// View is the alerts as one sink sees them.
type View struct {
	e     *Engine
	wants Wants
}

// For is what a sink sees that may know the accounts that it wants.
func (e *Engine) For(wants Wants) View { return View{e, wants} }

// Alerts returns what the sink may see, ordered by key. What is over stays
// until every sink was told.
func (v View) Alerts(context.Context) ([]event.Alert, error) {
	all := v.e.shown()
	seen := make([]event.Alert, 0, len(all))
	for _, whole := range all {
		if a, ok := v.narrow(*whole); ok {
			seen = append(seen, a)
		}
	}
	return seen, nil
}

// Alert returns one; ok is false if there is none of that key for the sink.
func (v View) Alert(_ context.Context, key string) (a event.Alert, ok bool, err error) {
	whole := v.e.shownOf(key)
	if whole == nil {
		return event.Alert{}, false, nil
	}
	a, ok = v.narrow(*whole)
	return a, ok, nil
}

func (v View) narrow(whole event.Alert) (event.Alert, bool) {
	a, ok := Narrow(whole, v.wants)
	a.Affected = a.Affected[:min(len(a.Affected), listed)]
	return a, ok
}

// shownOf is what sinks may see of one; nil: nothing.
func (e *Engine) shownOf(key string) *event.Alert {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.open[key]; n != nil {
		return n.shown
	}
	return nil
}

// shown returns what sinks may see, ordered by key.
func (e *Engine) shown() (all []*event.Alert) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(e.open)) {
		if n := e.open[key]; n.shown != nil {
			all = append(all, n.shown)
		}
	}
	return all
}

// Alerts returns every alert with its whole list, ordered by key. One that is
// over stays until every sink was told.
func (e *Engine) Alerts(context.Context) ([]event.Alert, error) {
	var all []event.Alert
	for _, whole := range e.shown() {
		a, _ := Narrow(*whole, nil)
		all = append(all, a)
	}
	return all, nil
}
