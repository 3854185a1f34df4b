package main

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// budgetCheck is the budget of an account, beside what its provider says of itself.
type budgetCheck struct {
	report  *report
	account config.Account
	of      sdk.Description
}

// refuse finds a problem where a refresh may cost more than a request, and nobody has taken
// that risk.
func (b budgetCheck) refuse() {
	c := b.account.Refresh
	risk := refresh.Risk(b.of, c.Timeout)
	if c.Budget == 0 || c.AcceptRisk || risk == "" {
		return
	}
	b.report.addWritten(config.Problem(b.finding(fmt.Sprintf("of provider %s %s", b.account.Provider, risk),
		"remove the line, or if so many refreshes are worth that, write accept_risk: true beside it")))
}

// warn says of a budget that it is of no use, or of less than is written.
func (b budgetCheck) warn() {
	if b.account.Refresh.Budget == 0 {
		return
	}
	policy, rule := budgetedOf(b.account.Refresh, b.of), limit.Rule{Limits: b.of.Limits}
	message, hint := schedule.Idle(policy, b.of.Policy.AccessLifetime), "write a higher one, or remove the line"
	switch {
	case wayBy(b.of) == control.WayLogin:
		message, hint = "budget: nothing is refreshed, the next token comes from a login", "remove the line"
	case policy.Budget == 0: // it is refused
	case message == "" && rule.Unasked() > 0 && rule.Unasked() < b.account.Refresh.Budget:
		message, hint = fmt.Sprintf("budget: the broker allows this account %s; so there are %d an hour", allowedInWords(rule), timesAnHour(policy.Budget)), ""
	}
	if message != "" {
		b.report.Warnings = append(b.report.Warnings, b.finding(message, hint))
	}
}

func (b budgetCheck) finding(message, hint string) finding {
	name := b.account.Name
	return finding{
		File: b.report.Config, Line: b.report.where().of("accounts", name, "refresh", "budget"), Key: "accounts." + name + ".refresh.budget",
		Message: message, Hint: hint,
	}
}

// timesAnHour is how often an hour is what comes once in an interval, to the nearest number.
func timesAnHour(interval time.Duration) int { return int((time.Hour + interval/2) / interval) }
