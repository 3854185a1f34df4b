package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// BenchmarkLoad is the time that a configuration of many accounts takes, as an
// operator of customers' logins has it.
func BenchmarkLoad(b *testing.B) {
	for _, accounts := range []int{100, 20000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			src := manyAccounts(b.TempDir(), accounts)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := config.Load(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestLoadIsLinear counts what is allocated, which grows as the work does.
func TestLoadIsLinear(t *testing.T) {
	dir := t.TempDir()
	allocated := func(accounts int) float64 {
		src := manyAccounts(dir, accounts)
		return testing.AllocsPerRun(1, func() {
			if _, _, err := config.Load(src); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocated(400), allocated(1600); many > 5*few {
		t.Errorf("%.0f allocations for 400 accounts, and %.0f for four times as many", few, many)
	}
}

// manyAccounts is a configuration of n accounts at two brokers, each twentieth
// with a sink of its own.
func manyAccounts(dir string, n int) config.Source {
	var text strings.Builder
	text.WriteString("accounts:\n")
	for i := range n {
		fmt.Fprintf(&text, "  customer-%05d:\n    provider: %s\n    client_id: app\n    client_secret: ${env:SECRET}\n"+
			"    redirect_url: https://127.0.0.1:8182\n    settings: {environment: live}\n    refresh: {before_expiry: 5m}\n",
			i, []string{"schwab", "saxo"}[i%2])
	}
	text.WriteString("sinks:\n  all: {type: file, path: \"out/{account}.json\"}\n")
	for i := 0; i < n; i += 20 {
		fmt.Fprintf(&text, "  bot-%05d: {type: unixsocket, path: /run/bot-%[1]d.sock, accounts: [customer-%05[1]d], include_refresh_token: true}\n", i)
	}
	return config.Source{
		Bytes: []byte(text.String()), Dir: dir, KnownProviders: builtIn,
		Environ: environ("STATE_DIRECTORY=/s", "SECRET=s3cret", "TOKENKEEPER_LOG__LEVEL=debug"),
	}
}
