package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

func TestVerdict(t *testing.T) {
	in := func(d time.Duration) time.Time { return now.Add(d) }
	account := func(name string, state refresh.State, expiry time.Time) control.Account {
		return control.Account{Name: name, Shown: refresh.Shown{State: state, Expiry: expiry}}
	}
	failing := event.Alert{Key: "sink_failing:hook", Type: event.SinkFailing, State: event.AlertRaised, Sink: "hook"}
	hushed, recovered := failing, failing
	hushed.Hush, recovered.State = &event.Hush{At: now}, event.AlertRecovered
	good := account("main", control.AccountValid, in(time.Minute))
	tests := []struct {
		name   string
		status control.Status
		code   int
		line   string
	}{
		{"all is well", control.Status{Accounts: []control.Account{good}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 retrying=0 valid=1 alerts=0"},
		{"an end that nobody knows", control.Status{Accounts: []control.Account{account("main", control.AccountValid, time.Time{})}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 retrying=0 valid=1 alerts=0"},
		{"an alert", control.Status{Accounts: []control.Account{good}, Alerts: []event.Alert{failing}}, 1,
			"TOKENKEEPER WARNING - 1 account valid: sink failing hook | needs_login=0 expired=0 new=0 retrying=0 valid=1 alerts=1"},
		{"an alert that is known, and one that is over", control.Status{Accounts: []control.Account{good}, Alerts: []event.Alert{hushed, recovered}}, 0,
			"TOKENKEEPER OK - 1 account valid | needs_login=0 expired=0 new=0 retrying=0 valid=1 alerts=0"},
		{"a refresh that fails", control.Status{Accounts: []control.Account{good, account("live", control.AccountRetrying, in(time.Second))}}, 1,
			"TOKENKEEPER WARNING - 2 accounts, 1 retrying, 1 valid: live retrying | needs_login=0 expired=0 new=0 retrying=1 valid=1 alerts=0"},
		{"a person is needed", control.Status{Accounts: []control.Account{good, account("live", control.AccountNeedsLogin, in(time.Hour))}}, 2,
			"TOKENKEEPER CRITICAL - 2 accounts, 1 needs login, 1 valid: live needs login | needs_login=1 expired=0 new=0 retrying=0 valid=1 alerts=0"},
		{"a token that has just ended", control.Status{Accounts: []control.Account{account("main", control.AccountRetrying, now)}}, 2,
			"TOKENKEEPER CRITICAL - 1 account retrying: main has expired | needs_login=0 expired=0 new=0 retrying=1 valid=0 alerts=0"},
		{"another machine's store", control.Status{Accounts: []control.Account{good}, Machine: control.Machine{Other: true}}, 2,
			"TOKENKEEPER CRITICAL - 1 account valid: the store is another machine's | needs_login=0 expired=0 new=0 retrying=0 valid=1 alerts=0"},
		{"nothing configured", control.Status{}, 0,
			"TOKENKEEPER OK - no accounts | needs_login=0 expired=0 new=0 retrying=0 valid=0 alerts=0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(tt.status, now)
			if v.Code != tt.code || v.line() != tt.line {
				t.Errorf("%d %s\nwant %d %s", v.Code, v.line(), tt.code, tt.line)
			}
		})
	}
}

// A line of a hundred accounts is still one that a pager shows.
func TestVerdictNamesTheFirst(t *testing.T) {
	s := control.Status{}
	for range 100 {
		s.Accounts = append(s.Accounts, control.Account{Name: "main", Shown: refresh.Shown{State: control.AccountExpired}})
	}
	if got := judge(s, now).Message; got != "100 accounts expired: "+strings.Repeat("main expired; ", 5)+"95 more" {
		t.Error(got)
	}
}

// Every state that an account can have has its place in the order.
func TestEveryStateIsSummed(t *testing.T) {
	for _, state := range []refresh.State{refresh.New, refresh.Valid, refresh.Retrying, refresh.Expired, refresh.NeedsLogin} {
		got := summary([]control.Account{{Shown: refresh.Shown{State: state}}, {Shown: refresh.Shown{State: "another"}}})
		if !strings.Contains(got, "1 "+stateWords(state)) {
			t.Errorf("%s: %s", state, got)
		}
	}
}

func TestStatusCheckWithoutASupervisor(t *testing.T) {
	socket := t.TempDir() + "/none.sock"
	command(t, "", "status", "--check", "--socket", socket).says(t, exitCritical, "TOKENKEEPER CRITICAL - no supervisor is running on "+socket+
		": start it with \"tokenkeeper run\", or name another socket with --socket | needs_login=0 expired=0 new=0 retrying=0 valid=0 alerts=0\n")
	got := command(t, "", "status", "--check", "--json", "--socket", socket)
	if v := decode[verdict](t, got.stdout); got.code != exitCritical || v.Code != exitCritical || v.Status != "critical" {
		t.Errorf("%+v", got)
	}
}

// In a long table the states are counted.
func TestStatusSumsUpManyAccounts(t *testing.T) {
	s := control.Status{Accounts: make([]control.Account, manyAccounts-1)}
	const sum = "accounts, 1 needs login, 9 valid\n"
	for i := range s.Accounts {
		s.Accounts[i].State = control.AccountValid
	}
	if got := renderStatus(s, now, painter{}, narrow); strings.Contains(got, "9 accounts") {
		t.Errorf("few accounts are counted: %s", got)
	}
	s.Accounts = append(s.Accounts, control.Account{Shown: refresh.Shown{State: control.AccountNeedsLogin}})
	if got := renderStatus(s, now, painter{}, narrow); !strings.Contains(got, "10 "+sum) {
		t.Errorf("%q is missing: %s", sum, got)
	}
}
