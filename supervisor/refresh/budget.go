package refresh

import (
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file refreshes an account before its token needs it, so that consumers go on for
// longer when no next one comes: evenly, so many times an hour. That is a wish and no need.
// It takes nothing of what the broker allows that the account needs itself, or that is left
// for a person, no turn in flight of an account that needs one, and it is not heard where a
// refresh costs more than a request.

// Budget is what the configuration says of it.
type Budget struct {
	PerHour int // 0: none
	// AcceptRisk: also where a refresh may end the login, or the access token that
	// consumers hold, or nobody knows.
	AcceptRisk bool
}

// Risk is why accounts of a provider had better not be refreshed more often than they
// need, by what it says of itself; "": nothing speaks against it. An attempt of theirs may
// take timeout.
func Risk(d sdk.Description, timeout time.Duration) string { return natureOf(d).risk(timeout) }

func (n nature) risk(timeout time.Duration) string {
	switch {
	case !n.met:
		return "nobody knows yet what a refresh costs"
	case n.ways == store.WayLogin:
		return "" // nothing is refreshed
	case n.ways == store.WayMint && n.repeat == sdk.RepeatHarmless:
		return ""
	case n.ways == store.WayMint && n.repeat == sdk.RepeatLimited:
		return "too many mints lock the account out"
	case n.ways == store.WayMint:
		return "each mint ends the access token that consumers hold"
	case n.ways == store.WayRefresh && n.policy.Rotates && n.grace() > 0 && n.grace() <= timeout+answerMargin: // it is over before a lost answer is known to be
		return fmt.Sprintf("each refresh replaces the refresh token, and the one before is taken for %s alone, in which an attempt of %s can't be made again: "+
			"one whose answer is lost ends the login", moment.Span(n.policy.ReuseGrace), moment.Span(timeout))
	case n.ways == store.WayRefresh && n.policy.Rotates && n.grace() <= 0:
		return "each refresh replaces the refresh token, and one whose answer is lost ends the login"
	case n.policy.OldAccessDies:
		return "each refresh ends the access token that consumers hold"
	case !n.policy.OldAccessLives:
		return "nobody knows whether a refresh ends the access token that consumers hold: the provider does not say that it lives on"
	}
	return ""
}

// Apart is the time between two refreshes of an account that has a budget, as far as its
// provider allows so many; 0: it has none. An attempt of it may take timeout.
func Apart(b Budget, timeout time.Duration, d sdk.Description) time.Duration {
	return natureOf(d).apart(b, timeout)
}

func (n nature) apart(b Budget, timeout time.Duration) time.Duration {
	if b.PerHour <= 0 || !n.met || n.ways == store.WayLogin || n.risk(timeout) != "" && !b.AcceptRisk {
		return 0
	}
	return max(time.Hour/time.Duration(b.PerHour), n.rule(timeout).Evenly())
}

// rule is what the broker allows an account of which an attempt may take timeout, until
// whose end it may reach the broker.
func (n nature) rule(timeout time.Duration) limit.Rule {
	return limit.Rule{Limits: n.limits, Slack: timeout + answerMargin}
}

// policyOf is when tokens of an account are replaced, by its budget too.
func policyOf(cfg *Account, n nature) schedule.Policy {
	p := needsOf(cfg, n)
	p.Budget = n.apart(cfg.Budget, cfg.Timeout)
	return p
}

// policy is policyOf the account as it stands: its provider may refresh, and this token be
// followed by a mint, which costs what a mint costs.
func (o outlook) policy() schedule.Policy {
	p := policyOf(o.cfg, o.nature)
	if o.kind() == spool.KindMint && o.nature.repeat != sdk.RepeatHarmless && !o.cfg.Budget.AcceptRisk {
		p.Budget = 0
	}
	return p
}

// budgeted is an account that may have a budget.
type budgeted struct{ *leased }

// sooner is due, by which something is to be done for the account, or when its budget wants
// that before, as far as the broker allows one more then: it waits as a program's wish does.
// The caller holds k.mu.
func (a budgeted) sooner(due, now time.Time) time.Time {
	o := a.outlook().at(now)
	policy := o.policy()
	if policy.Budget <= 0 || a.state().Lingers() != nil || a.state().Ambiguous() != nil {
		return due
	}
	early := schedule.PlanOf(policy, o.life(), o.now, mathrand.Float64())
	if early.Ended || !early.Due.Before(due) {
		return due
	}
	free := o.now.Add(limited{a.account}.heldForProgram(a.keeper.clock.Now()).Wait)
	return moment.Earlier(due, moment.Later(early.Due, free))
}
