package refresh

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// spoolSlack is how long after its attempt's deadline a process of an
	// earlier start may keep the spool.
	spoolSlack = 5 * time.Second
	// longestSpan is more than any attempt may take, whatever the store says.
	longestSpan = 5*time.Minute + answerMargin
	// spoolFreeing is how long it may take until the spool is had after that.
	spoolFreeing = 30 * time.Second
)

// settling is the Keeper at the start of a generation: it settles, through that
// process, what stands open.
type settling struct {
	*Keeper
	through *sdk.Remote
}

// unsettled asks for what stands in the spool. The process waits meanwhile for
// the one before it, which may hear an answer out: bounded, because it may also
// hang.
func (k settling) unsettled(ctx context.Context) ([]spool.Entry, error) {
	var open []store.Intent
	for name := range k.accounts {
		in, intended, err := k.cfg.Store.Intent(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read the open attempt of account %s: %w", name, err)
		}
		if intended {
			open = append(open, in)
		}
	}
	patience := spoolPatience(open, k.longestTimeout())
	patient, cancel := context.WithTimeout(ctx, patience+spoolFreeing)
	defer cancel()
	if k.cfg.Outwait != nil {
		go k.cfg.Outwait(patient, patience)
	}
	shares := k.ahead.peeks.shares()
	defer shares.Collect(patient, k.cfg.Bequests)() // which ends before the process that has them
	return k.spool.read(patient, k.cfg.Provider, k.through, k.clock)
}

// spoolPatience is how long from now on a process may keep the spool that has made
// these attempts: as long as the longest of them takes, as it was announced, and a
// little longer. One that has made none that we know of may still have made one. What
// is over of that time would be told by a clock that may have been set meanwhile, and
// costs something only where the process hangs.
func spoolPatience(open []store.Intent, timeout time.Duration) time.Duration {
	longest := timeout + answerMargin
	for _, in := range open {
		for in := &in; in != nil; in = in.Before {
			longest = max(longest, in.Until.Sub(in.At))
		}
	}
	return min(longest, longestSpan) + spoolSlack
}

func (k settling) longestTimeout() (longest time.Duration) {
	for _, a := range k.accounts {
		longest = max(longest, a.cfg.Timeout)
	}
	return longest
}

// This file holds what is not believed of a provider: one provider serves many
// accounts, and may mix them up, or worse.

// spooled is what a provider's spool holds.
type spooled struct {
	entries map[string][]spool.Entry // by account
	// mixedUp are the attempts of which it says that they are another account's.
	mixedUp map[string]bool
}

// doubts takes from an intent, and from the one over which it stands, the spool in
// which its attempt was noted, if that says that it is another account's; changed:
// it was so.
func (s spooled) doubts(in *store.Intent) (changed bool) {
	if s.mixedUp[in.Attempt] && in.Spool != "" {
		in.Spool, changed = "", true
	}
	if in.Before != nil && s.mixedUp[in.Before.Attempt] && in.Before.Spool != "" {
		before := *in.Before
		before.Spool = ""
		in.Before, changed = &before, true
	}
	return changed
}

// ofOurs sorts what the provider says is in its spool by account, oldest first.
// Left out is what belongs to no account here, and an attempt that was announced
// for another account than the provider says.
func (k settling) ofOurs(ctx context.Context, entries []spool.Entry) spooled {
	ours := spooled{map[string][]spool.Entry{}, map[string]bool{}}
	if len(entries) == 0 {
		return ours
	}
	announced := k.announced(ctx)
	var strangers, mixedUp []spool.Entry
	for _, e := range entries {
		owner, known := announced[e.Attempt]
		_, configured := k.accounts[e.Account]
		switch {
		case known && owner != e.Account:
			mixedUp = append(mixedUp, e)
			ours.mixedUp[e.Attempt] = true
		case !configured:
			strangers = append(strangers, e)
		default:
			ours.entries[e.Account] = append(ours.entries[e.Account], e)
		}
	}
	// One line for all: a provider could name any number.
	if len(strangers) > 0 {
		k.cfg.Log.Warn("the spool holds attempts of accounts that are not configured; they are left there",
			"provider", k.cfg.Provider, "attempts", len(strangers), "account", nameOnly(strangers[0].Account), "attempt", nameOnly(strangers[0].Attempt))
	}
	if len(mixedUp) > 0 {
		e := mixedUp[0]
		k.cfg.Log.Error(fmt.Sprintf("the provider says that attempts belong to other accounts than they were announced for; they are ignored. "+
			"The first is one of account %s. Report it to the author of the provider", announced[e.Attempt]),
			"provider", k.cfg.Provider, "attempts", len(mixedUp), "account", nameOnly(e.Account), "attempt", nameOnly(e.Attempt))
	}
	return ours
}

var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) })

// nameOnly is a name from a provider that nobody here knows; what can be none
// is not shown.
func nameOnly(name string) string {
	if plainName().MatchString(name) {
		return name
	}
	return fmt.Sprintf("(%d bytes that are no name)", len(name))
}

// announced leads from each attempt that is open, or was the last one that
// brought a token, to its account.
func (k settling) announced(ctx context.Context) map[string]string {
	all := make(map[string]string, len(k.accounts))
	for name, a := range k.accounts {
		in, open, err := k.cfg.Store.Intent(ctx, name)
		if err == nil && open { // an error is told where the account itself is settled
			for in := &in; in != nil; in = in.Before {
				all[in.Attempt] = name
			}
		}
		if last := a.rec().Attempt; last != "" {
			all[last] = name
		}
	}
	return all
}

// belongsTo names another account whose refresh token a refresh was answered
// with; "": none. Of a login that is no sign of anything, because one person may
// log in twice; nor of an account that shared the token before.
func (a attempt) belongsTo(answered sdk.Token) string {
	if a.in.Kind != spool.KindRefresh || answered.RefreshToken.IsZero() {
		return ""
	}
	if a.state().HasToken(answered.RefreshToken) {
		return ""
	}
	for name, other := range a.keeper.accounts {
		if other != a.account && other.state().HasToken(answered.RefreshToken) {
			return name
		}
	}
	return ""
}
