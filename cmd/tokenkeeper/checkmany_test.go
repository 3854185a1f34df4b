package main

import (
	"fmt"
	"strings"
	"testing"
)

// manyCustomers are n accounts, each with a sink and a warning of its own.
func manyCustomers(n int) string {
	var accounts, sinks strings.Builder
	for i := range n {
		fmt.Fprintf(&accounts, "  customer-%05d: {provider: schwab, client_id: app, client_secret: \"${env:TK_TEST_SECRET}\"}\n", i)
		fmt.Fprintf(&sinks, "  bot-%05d: {type: unixsocket, path: bot-%[1]d.sock, accounts: [customer-%05[1]d]}\n", i)
	}
	return "accounts:\n" + accounts.String() + "sinks:\n  all: {type: unixsocket, path: all.sock}\n" + sinks.String()
}

// TestCheckIsLinear counts what is allocated, which grows as the work does.
func TestCheckIsLinear(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "secret")
	allocated := func(accounts int) float64 {
		w := newWorld(t, manyCustomers(accounts))
		return testing.AllocsPerRun(1, func() {
			if got := command(t, "", "check", "--json", "-c", w.config); got.code != exitOK {
				t.Fatalf("exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
	if few, many := allocated(300), allocated(1200); many > 5*few {
		t.Errorf("%.0f allocations for 300 accounts, and %.0f for four times as many", few, many)
	}
}

func BenchmarkCheck(b *testing.B) {
	b.Setenv("TK_TEST_SECRET", "secret")
	for _, accounts := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			w := newWorld(b, manyCustomers(accounts))
			for b.Loop() {
				command(b, "", "check", "-c", w.config)
			}
		})
	}
}

// TestCheckIsBrief: of many what is alike is told once, and what is not, or wrong, by
// itself.
func TestCheckIsBrief(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "secret")
	yaml := strings.Replace(manyCustomers(30), "sinks:\n", `  odd: {provider: saxo, client_id: app, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "http://localhost/x"}
sinks:
  push: {type: file, path: "out/{account}.json", accounts: [odd], include_refresh_token: true}
`, 1)
	w := newWorld(t, yaml)
	brief := command(t, "", "check", "-c", w.config)
	for _, want := range []string{
		"\n30 accounts  schwab    refreshed 5m before expiry  30 different\n",
		"\nodd          saxo      refreshed 5m before expiry  all, push\n",
		"\n31 sinks  unixsocket  not sent       token   31 places",
		"accounts.customer-00000.redirect_url: is missing",
		"and 29 more like it, which --verbose lists\n",
		"\nit can run; 30 warnings, see above\n",
	} {
		if !strings.Contains(brief.stdout, want) {
			t.Errorf("%q is not in\n%s", want, brief.stdout)
		}
	}
	if strings.Contains(brief.stdout, "customer-00001") {
		t.Errorf("what is alike is told more than once:\n%s", brief.stdout)
	}
	for _, flag := range []string{"--verbose", "--json"} {
		if got := command(t, "", "check", flag, "-c", w.config); strings.Count(got.stdout, "accounts.customer-") != 30 || !strings.Contains(got.stdout, "bot-00029") {
			t.Errorf("%s leaves something out:\n%s", flag, got.stdout)
		}
	}
	// What is wrong with so many is one trouble, too.
	const plenty = manyProblems + 1
	lost := newWorld(t, strings.ReplaceAll(manyCustomers(plenty), "path: bot-", "direction: listen, path: none/bot-"))
	said := command(t, "", "check", "-c", lost.config)
	if said.code != exitUsage || strings.Count(said.stdout, "problem: ") != fewProblems || !strings.Contains(said.stdout, "does not exist") ||
		!strings.Contains(said.stdout, fmt.Sprintf("and %d more like it, which --verbose lists\n", plenty-fewProblems)) || !strings.Contains(said.stdout, fmt.Sprintf("\n%d problems\n", plenty)) {
		t.Errorf("exit code %d:\n%s", said.code, said.stdout)
	}
	wrong := newWorld(t, strings.ReplaceAll(yaml, "provider: schwab,", "provider: schwab, settings: {nonsense: x},"))
	if got := command(t, "", "check", "-c", wrong.config); got.code != exitUsage || strings.Count(got.stdout, "problem: ") != 30 {
		t.Errorf("exit code %d, and not every problem is told:\n%s", got.code, got.stdout)
	}
}
