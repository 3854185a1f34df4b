package verdict_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestVerdict(t *testing.T) {
	in := func(d time.Duration) time.Time { return now.Add(d) }
	account := func(name string, state refresh.State, expiry time.Time) control.Account {
		return control.Account{Name: name, Shown: refresh.Shown{State: state, Expiry: expiry}}
	}
	waits := func(name string, why promise.Reason, due time.Time) control.Account {
		return control.Account{Name: name, Shown: refresh.Shown{State: control.AccountValid, Due: due, Waiting: why, WaitingText: why.Text()}}
	}
	failing := event.Alert{Key: "sink_failing:hook", Type: event.SinkFailing, State: event.AlertRaised, Sink: "hook"}
	hushed, recovered := failing, failing
	hushed.Hush, recovered.State = &event.Hush{At: now}, event.AlertRecovered
	good := account("main", control.AccountValid, in(time.Minute))
	paused := func(name string, version uint64, expiry time.Time) control.Account {
		a := account(name, control.AccountPaused, expiry)
		a.Version = version
		return a
	}
	forgotten := event.Alert{Type: event.PauseForgotten, State: event.AlertRaised, Account: "live"}
	tests := []struct {
		name   string
		status control.Status
		code   int
		line   string
	}{
		{"all is well", control.Status{Accounts: []control.Account{good}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"an end that nobody knows", control.Status{Accounts: []control.Account{account("main", control.AccountValid, time.Time{})}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"an alert", control.Status{Accounts: []control.Account{good}, Alerts: []event.Alert{failing}}, 1,
			"TOKENKEEPER WARNING - 1 account valid: sink failing hook | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=1"},
		{"an alert that is known, and one that is over", control.Status{Accounts: []control.Account{good}, Alerts: []event.Alert{hushed, recovered}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"a refresh that fails", control.Status{Accounts: []control.Account{good, account("live", control.AccountRetrying, in(time.Second))}}, 1,
			"TOKENKEEPER WARNING - 2 accounts, 1 retrying, 1 valid: live retrying | needs_login=0 expired=0 new=0 paused=0 retrying=1 valid=1 alerts=0"},
		{"nobody keeps them", control.Status{Observing: true, Accounts: []control.Account{good}}, 2,
			"TOKENKEEPER CRITICAL - 1 account valid: the supervisor only observes, and nobody keeps the tokens | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"a person is needed", control.Status{Accounts: []control.Account{good, account("live", control.AccountNeedsLogin, in(time.Hour))}}, 2,
			"TOKENKEEPER CRITICAL - 2 accounts, 1 needs login, 1 valid: live needs login | needs_login=1 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"a token that has just ended", control.Status{Accounts: []control.Account{account("main", control.AccountRetrying, now)}}, 2,
			"TOKENKEEPER CRITICAL - 1 account retrying: main has expired | needs_login=0 expired=0 new=0 paused=0 retrying=1 valid=0 alerts=0"},
		{"paused, and the token lives", control.Status{Accounts: []control.Account{good, paused("live", 3, in(time.Second))}}, 1,
			"TOKENKEEPER WARNING - 2 accounts, 1 paused, 1 valid: live paused | needs_login=0 expired=0 new=0 paused=1 retrying=0 valid=1 alerts=0"},
		{"paused, and the token is over", control.Status{Accounts: []control.Account{good, paused("live", 3, now)}, Alerts: []event.Alert{forgotten}}, 2,
			"TOKENKEEPER CRITICAL - 2 accounts, 1 paused, 1 valid: live is paused, and its token has expired; pause forgotten live | needs_login=0 expired=0 new=0 paused=1 retrying=0 valid=1 alerts=1"},
		{"paused before there was a token", control.Status{Accounts: []control.Account{paused("live", 0, time.Time{})}}, 2,
			"TOKENKEEPER CRITICAL - 1 account paused: live is paused, and has no token | needs_login=0 expired=0 new=0 paused=1 retrying=0 valid=0 alerts=0"},
		{"another machine's store", control.Status{Accounts: []control.Account{good}, Machine: control.Machine{Other: true}}, 2,
			"TOKENKEEPER CRITICAL - 1 account valid: the store is another machine's | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"a refresh that fails and has become an alert", control.Status{
			Accounts: []control.Account{account("live", control.AccountRetrying, in(time.Second))},
			Alerts:   []event.Alert{{Type: event.RefreshFailing, State: event.AlertRaised, Provider: "saxo", Accounts: 2}},
		}, 1, "TOKENKEEPER WARNING - 1 account retrying: live retrying; refresh failing saxo (2) | needs_login=0 expired=0 new=0 paused=0 retrying=1 valid=0 alerts=1"},
		{"looked at lately", control.Status{Accounts: []control.Account{good}, LookedAt: in(-time.Minute)}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"nobody looks around any more", control.Status{Accounts: []control.Account{good}, LookedAt: in(-10 * time.Minute)}, 2,
			"TOKENKEEPER CRITICAL - 1 account valid: the supervisor has not looked around for 10m0s | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"overdue for no reason", control.Status{Accounts: []control.Account{waits("main", promise.None, in(-2*time.Minute))}}, 1,
			"TOKENKEEPER WARNING - 1 account valid: main is overdue, and nobody knows why | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=1 alerts=0"},
		{"overdue for a reason, and for a moment", control.Status{Accounts: []control.Account{waits("live", promise.LockHeld, in(-time.Hour)), waits("main", promise.None, in(-time.Second))}}, 0,
			"TOKENKEEPER OK - 2 accounts valid | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=2 alerts=0"},
		{"nothing configured", control.Status{}, 0,
			"TOKENKEEPER OK - no accounts | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=0 alerts=0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := verdict.Of(tt.status, now)
			if v.Code != tt.code || v.Line() != tt.line {
				t.Errorf("%d %s\nwant %d %s", v.Code, v.Line(), tt.code, tt.line)
			}
		})
	}
}

// A refresh that failed and is tried again while the token lives is a warning, and no
// trouble before it is an alert. What a person has paused is none, however long.
func TestTrouble(t *testing.T) {
	retrying := control.Account{Name: "live", Shown: refresh.Shown{State: control.AccountRetrying, Expiry: now.Add(time.Minute)}}
	lost := control.Account{Name: "main", Shown: refresh.Shown{State: control.AccountNeedsLogin}}
	failing := event.Alert{Type: event.SinkFailing, State: event.AlertRaised, Sink: "hook"}
	rests := control.Account{Name: "old", Shown: refresh.Shown{State: control.AccountPaused, Version: 3, Expiry: now}}
	forgotten := event.Alert{Type: event.PauseForgotten, State: event.AlertRaised, Account: "old"}
	for want, s := range map[string]control.Status{
		"":                                    {Accounts: []control.Account{retrying}},
		"sink failing hook":                   {Accounts: []control.Account{retrying}, Alerts: []event.Alert{failing}},
		"main needs login":                    {Accounts: []control.Account{retrying, lost, rests}, Alerts: []event.Alert{forgotten}},
		"main needs login; sink failing hook": {Accounts: []control.Account{lost}, Alerts: []event.Alert{failing}},
	} {
		if got := verdict.Of(s, now).Trouble(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A line of a hundred accounts is still one that a pager shows.
func TestVerdictNamesTheFirst(t *testing.T) {
	s := control.Status{}
	for range 100 {
		s.Accounts = append(s.Accounts, control.Account{Name: "main", Shown: refresh.Shown{State: control.AccountExpired}})
	}
	if got := verdict.Of(s, now).Message; got != "100 accounts expired: "+strings.Repeat("main expired; ", 5)+"95 more" {
		t.Error(got)
	}
}

// Every state that an account can have has its place in the order.
func TestEveryStateIsSummed(t *testing.T) {
	for _, state := range []refresh.State{refresh.New, refresh.Valid, refresh.Retrying, refresh.Expired, refresh.NeedsLogin, refresh.Paused} {
		got := verdict.Summary([]control.Account{{Shown: refresh.Shown{State: state}}, {Shown: refresh.Shown{State: "another"}}})
		if !strings.Contains(got, "1 "+state.Words()) {
			t.Errorf("%s: %s", state, got)
		}
	}
}
