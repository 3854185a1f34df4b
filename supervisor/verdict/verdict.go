// Package verdict judges how everything stands, for whoever asks from outside: a
// monitoring system by "tokenkeeper status --check" or by probes, and a service elsewhere
// by the heartbeat. It is pure.
package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Verdict is how everything stands, in the words and with the exit codes of the
// Monitoring Plugins
// (https://www.monitoring-plugins.org/doc/guidelines.html#AEN78): 0 ok, 1 warning, 2
// critical. Critical is that an account has no valid token, or that nobody keeps them:
// its consumers stand still, or soon will. All else that needs somebody, or may come to
// need somebody, is a warning.
type Verdict struct {
	// Status is ok, warning or critical; Code the exit code that says the same.
	Status string `json:"status"`
	Code   int    `json:"exit_code"`
	// Message is why, in one line; it names what is worst first.
	Message string `json:"message"`
	// Accounts is how many there are in each state.
	Accounts map[refresh.State]int `json:"accounts"`
	// Alerts is how many last and were neither acknowledged nor silenced.
	Alerts int `json:"alerts"`

	trouble []string
}

// Codes of a verdict that is not good.
const (
	Warning  = 1
	Critical = 2
)

const (
	// blind is for how long everything may go without a look at it, which comes each
	// half minute: alerts are raised and ended by that look alone.
	blind = 2 * time.Minute
	// unexplained is for how long an account may be overdue before it counts that
	// nobody knows why.
	unexplained = time.Minute
	// named are so many reasons; the others are counted.
	named = 5
)

// Of is the verdict on a supervisor that answers.
func Of(s control.Status, now time.Time) Verdict {
	v := Verdict{Status: "ok", Accounts: map[refresh.State]int{}}
	var critical, paused, warning, passing []string
	if text := unseeing(s, now); text != "" {
		critical = append(critical, text)
	}
	if s.Observing {
		critical = append(critical, "the supervisor only observes, and nobody keeps the tokens")
	}
	for _, a := range s.Accounts {
		v.Accounts[a.State]++
		lacks := lack(a, now)
		switch {
		case a.State == control.AccountNeedsLogin:
			critical = append(critical, a.Name+" "+a.State.Words())
		case lacks != "" && a.State == control.AccountPaused:
			paused = append(paused, a.Name+" "+lacks)
		case lacks != "":
			critical = append(critical, a.Name+" "+lacks)
		case a.Waiting == promise.None && a.WaitingText != "" && !a.Due.IsZero() && now.Sub(a.Due) > unexplained:
			warning = append(warning, a.Name+" is overdue, and nobody knows why")
		case a.State != control.AccountValid:
			passing = append(passing, a.Name+" "+a.State.Words())
		}
	}
	if s.Machine.Other {
		critical = append(critical, "the store is another machine's")
	}
	if s.ConfigProblem != "" { // while somebody writes it, perhaps
		passing = append(passing, "a start with the new configuration would fail")
	}
	if s.Metrics != nil && s.Metrics.CertificateProblem != "" {
		passing = append(passing, "the certificate of the metrics can't be used")
	}
	for _, a := range unhushed(s.Alerts) {
		v.Alerts++
		text := strings.TrimSpace(a.Type.Words() + " " + a.Concerns())
		if a.Type == event.PauseForgotten {
			passing = append(passing, text)
			continue
		}
		warning = append(warning, text)
	}
	v.trouble = slices.Concat(critical, warning)
	critical = append(critical, paused...)
	switch {
	case len(critical) > 0:
		v.Status, v.Code = "critical", Critical
	case len(warning)+len(passing) > 0:
		v.Status, v.Code = "warning", Warning
	}
	v.Message = Summary(s.Accounts)
	if why := slices.Concat(critical, passing, warning); len(why) > 0 {
		v.Message += ": " + first(why, named)
	}
	return v
}

// unseeing is that nobody looks around any more; "": somebody does.
func unseeing(s control.Status, now time.Time) string {
	if s.LookedAt.IsZero() || now.Sub(s.LookedAt) <= blind { // an older supervisor does not tell
		return ""
	}
	return fmt.Sprintf("the supervisor has not looked around for %s", now.Sub(s.LookedAt).Round(time.Second))
}

// lack says why an account has no valid token; "": it has one, as far as anybody knows.
func lack(a control.Account, now time.Time) string {
	switch {
	case a.State == control.AccountPaused && a.Version == 0:
		return "is paused, and has no token"
	case a.State == control.AccountPaused && !a.Expiry.IsZero() && !a.Expiry.After(now):
		return "is paused, and its token has expired"
	case a.State == control.AccountExpired, a.State == control.AccountNew, a.State == control.AccountNeedsLogin && a.Expiry.IsZero():
		return a.State.Words()
	case !a.Expiry.IsZero() && !a.Expiry.After(now):
		return "has expired"
	}
	return ""
}

// Trouble is what is wrong, without a refresh that failed and is being tried again while
// the token lives: that is an alert once it has lasted; and without what a person has paused,
// who is told of that otherwise. "": nothing is.
func (v Verdict) Trouble() string { return first(v.trouble, named) }

// unhushed are the alerts that last and of which nobody has said that they are known,
// the most urgent first.
func unhushed(alerts []event.Alert) []event.Alert {
	return Urgent(slices.DeleteFunc(slices.Clone(alerts), func(a event.Alert) bool { return a.Over() || a.Hush != nil }))
}

// Urgent sorts alerts for one line: first what only a person can mend, last what is only
// to come.
func Urgent(alerts []event.Alert) []event.Alert {
	slices.SortStableFunc(alerts, func(a, b event.Alert) int { return ahead(a) - ahead(b) })
	return alerts
}

func ahead(a event.Alert) int {
	switch a.Type {
	case event.NeedsLogin:
		return 0
	case event.LoginDueSoon, event.LoginUnknown:
		return 2
	}
	return 1
}

// worstFirst are the states of an account in the order of how soon somebody must act.
var worstFirst = []refresh.State{
	control.AccountNeedsLogin, control.AccountExpired, control.AccountNew, control.AccountPaused, control.AccountRetrying, control.AccountValid,
}

// Summary is how many accounts are in which state, the worst first.
func Summary(accounts []control.Account) string {
	count := map[refresh.State]int{}
	for _, a := range accounts {
		count[a.State]++
	}
	all := fmt.Sprintf("%d accounts", len(accounts))
	switch len(accounts) {
	case 0:
		return "no accounts"
	case 1:
		all = "1 account"
	}
	if len(count) == 1 {
		return all + " " + accounts[0].State.Words()
	}
	var parts []string
	for _, state := range worstFirst {
		if n := count[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state.Words()))
		}
	}
	return all + ", " + strings.Join(parts, ", ")
}

// first is the first most of all, and how many more there are.
func first(all []string, most int) string {
	if len(all) <= most {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; %d more", strings.Join(all[:most], "; "), len(all)-most)
}

// Line is the verdict as a monitoring system reads it: what people see, a bar, and the
// numbers of which it draws graphs.
func (v Verdict) Line() string {
	var numbers []string
	for _, state := range worstFirst {
		numbers = append(numbers, fmt.Sprintf("%s=%d", state, v.Accounts[state]))
	}
	return fmt.Sprintf("TOKENKEEPER %s - %s | %s alerts=%d",
		strings.ToUpper(v.Status), strings.ReplaceAll(v.Message, "|", "/"), strings.Join(numbers, " "), v.Alerts)
}

// Unanswered is the verdict on a supervisor that does not answer, and why not.
func Unanswered(why error) Verdict {
	return Verdict{
		Status: "critical", Code: Critical, Message: strings.Join(strings.Fields(why.Error()), " "), Accounts: map[refresh.State]int{},
	}
}
