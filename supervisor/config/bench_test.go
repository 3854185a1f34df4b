package config_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// BenchmarkLoad is the time that a configuration of many accounts takes, as an
// operator of customers' logins has it.
func BenchmarkLoad(b *testing.B) {
	for _, accounts := range []int{100, 20000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			src := manyAccounts(b.TempDir(), accounts, 20)
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
	allocated := func(accounts int) uint64 {
		src := manyAccounts(dir, accounts, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		load(t, src)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(400), allocated(1600); many > 5*few {
		t.Errorf("%d bytes allocated for 400 accounts, and %d for four times as many", few, many)
	}
}

// manyAccounts is a configuration of n accounts at two brokers; one of so many
// has a sink of its own.
func manyAccounts(dir string, n, one int) config.Source {
	var text strings.Builder
	text.WriteString("accounts:\n")
	for i := range n {
		fmt.Fprintf(&text, "  customer-%05d:\n    provider: %s\n    client_id: app\n    client_secret: ${env:SECRET}\n"+
			"    redirect_url: https://127.0.0.1:8182\n    settings: {environment: live}\n    refresh: {before_expiry: 5m}\n",
			i, []string{"schwab", "saxo"}[i%2])
	}
	text.WriteString("sinks:\n  all: {type: file, path: \"out/{account}.json\"}\n")
	for i := 0; i < n; i += one {
		fmt.Fprintf(&text, "  bot-%05d: {type: file, path: bots/%[1]d.json, accounts: [customer-%05[1]d]}\n", i)
	}
	return config.Source{
		Bytes: []byte(text.String()), Dir: dir, KnownProviders: builtIn,
		Environ: environ("STATE_DIRECTORY=/s", "SECRET=s3cret", "TOKENKEEPER_LOG__LEVEL=debug"),
	}
}
