package main

import (
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

func TestStatusCheckWithoutASupervisor(t *testing.T) {
	socket := t.TempDir() + "/none.sock"
	command(t, "", "status", "--check", "--socket", socket).says(t, verdict.Critical, "TOKENKEEPER CRITICAL - no supervisor is running on "+socket+
		": start it with \"tokenkeeper run\", or name another socket with --socket | needs_login=0 expired=0 new=0 paused=0 retrying=0 valid=0 alerts=0\n")
	got := command(t, "", "status", "--check", "--json", "--socket", socket)
	if v := decode[verdict.Verdict](t, got.stdout); got.code != verdict.Critical || v.Code != verdict.Critical || v.Status != "critical" {
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
	s.Accounts = append(s.Accounts, control.Account{})
	s.Accounts[len(s.Accounts)-1].State = control.AccountNeedsLogin
	if got := renderStatus(s, now, painter{}, narrow); !strings.Contains(got, "10 "+sum) {
		t.Errorf("%q is missing: %s", sum, got)
	}
}
