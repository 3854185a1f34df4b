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
