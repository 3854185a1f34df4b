package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// verdict is how everything stands, for a monitoring system, in the words and with the
// exit codes of the Monitoring Plugins
// (https://www.monitoring-plugins.org/doc/guidelines.html#AEN78): 0 ok, 1 warning, 2
// critical. Critical is that an account has no valid token, or that nobody keeps them:
// its consumers stand still, or soon will. All else that needs somebody is a warning.
type verdict struct {
	// Status is ok, warning or critical; Code the exit code that says the same.
	Status string `json:"status"`
	Code   int    `json:"exit_code"`
	// Message is why, in one line; it names what is worst first.
	Message string `json:"message"`
	// Accounts is how many there are in each state.
	Accounts map[refresh.State]int `json:"accounts"`
	// Alerts is how many last and were neither acknowledged nor silenced.
	Alerts int `json:"alerts"`
}

// Exit codes of a verdict that is not good.
const (
	exitWarning  = 1
	exitCritical = 2
)

// judge is the verdict on a supervisor that answers.
func judge(s control.Status, now time.Time) verdict {
	v := verdict{Status: "ok", Accounts: map[refresh.State]int{}}
	var critical, warning []string
	for _, a := range s.Accounts {
		v.Accounts[a.State]++
		switch {
		case a.State == control.AccountNeedsLogin, a.State == control.AccountExpired, a.State == control.AccountNew:
			critical = append(critical, a.Name+" "+stateWords(a.State))
		case !a.Expiry.IsZero() && !a.Expiry.After(now):
			critical = append(critical, a.Name+" has expired")
		case a.State != control.AccountValid:
			warning = append(warning, a.Name+" "+stateWords(a.State))
		}
	}
	if s.Machine.Other {
		critical = append(critical, "the store is another machine's")
	}
	for _, a := range unhushed(s.Alerts) {
		v.Alerts++
		warning = append(warning, strings.TrimSpace(words(a.Type)+" "+concerns(a)))
	}
	switch {
	case len(critical) > 0:
		v.Status, v.Code = "critical", exitCritical
	case len(warning) > 0:
		v.Status, v.Code = "warning", exitWarning
	}
	v.Message = summary(s.Accounts)
	if why := slices.Concat(critical, warning); len(why) > 0 {
		v.Message += ": " + first(why, 5)
	}
	return v
}

// unhushed are the alerts that last and of which nobody has said that they are known,
// the most urgent first.
func unhushed(alerts []event.Alert) []event.Alert {
	alerts = slices.DeleteFunc(slices.Clone(alerts), func(a event.Alert) bool { return over(a) || a.Hush != nil })
	slices.SortStableFunc(alerts, func(a, b event.Alert) int { return ahead(a) - ahead(b) })
	return alerts
}

// worstFirst are the states of an account in the order of how soon somebody must act.
var worstFirst = []refresh.State{
	control.AccountNeedsLogin, control.AccountExpired, control.AccountNew, control.AccountRetrying, control.AccountValid,
}

// summary is how many accounts are in which state, the worst first.
func summary(accounts []control.Account) string {
	count := map[refresh.State]int{}
	for _, a := range accounts {
		count[a.State]++
	}
	if len(count) == 0 {
		return "no accounts"
	}
	if len(count) == 1 {
		return counted(len(accounts), "account", "accounts") + " " + stateWords(accounts[0].State)
	}
	var parts []string
	for _, state := range worstFirst {
		if n := count[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, stateWords(state)))
		}
	}
	return counted(len(accounts), "account", "accounts") + ", " + strings.Join(parts, ", ")
}

func stateWords(s refresh.State) string { return strings.ReplaceAll(string(s), "_", " ") }

// first is the first most of all, and how many more there are.
func first(all []string, most int) string {
	if len(all) <= most {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; %d more", strings.Join(all[:most], "; "), len(all)-most)
}

// line is the verdict as a monitoring system reads it: what people see, a bar, and the
// numbers of which it draws graphs.
func (v verdict) line() string {
	var numbers []string
	for _, state := range worstFirst {
		numbers = append(numbers, fmt.Sprintf("%s=%d", state, v.Accounts[state]))
	}
	return fmt.Sprintf("TOKENKEEPER %s - %s | %s alerts=%d",
		strings.ToUpper(v.Status), strings.ReplaceAll(v.Message, "|", "/"), strings.Join(numbers, " "), v.Alerts)
}

// checkStatus prints one line of s, or of why there is none, and says by its exit code
// how everything stands. That nothing answers is an answer too.
func (e *env) checkStatus(s control.Status, failed error) error {
	v := judge(s, e.now())
	if failed != nil {
		v = verdict{Status: "critical", Code: exitCritical, Message: onOneLine(failed), Accounts: map[refresh.State]int{}}
	}
	var err error
	if e.json {
		err = e.printJSON(v)
	} else {
		err = e.write(v.line() + "\n")
	}
	if err != nil {
		return &exitError{exitCritical, err}
	}
	if v.Code != exitOK {
		return &exitError{v.Code, errSaid}
	}
	return nil
}

func onOneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
