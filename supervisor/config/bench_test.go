package config_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// BenchmarkLoad is the time that a configuration of many accounts takes, as an
// operator of customers' logins has it, and the CPU. In short it is a tenth of them:
//
//	go test -run '^$' -bench Load ./supervisor/config
func BenchmarkLoad(b *testing.B) {
	many := 20_000
	if testing.Short() {
		many = 2000
	}
	for _, accounts := range []int{100, many} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			src := manyAccounts(b.TempDir(), accounts, 20)
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				if _, _, err := config.Load(src); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLoadIsLinear counts what is allocated, which grows as the work does.
func TestLoadIsLinear(t *testing.T) {
	dir := t.TempDir()
	for name, of := range map[string]func(n int) config.Source{
		"a sink each":         func(n int) config.Source { return manyAccounts(dir, n, 1) },
		"secrets in one file": func(n int) config.Source { return manySecrets(t, dir, n) },
	} {
		t.Run(name, func(t *testing.T) {
			if few, many := allocated(t, of(400)), allocated(t, of(1600)); many > 5*few {
				t.Errorf("%d bytes allocated for 400 accounts, and %d for four times as many", few, many)
			}
		})
	}
}

func allocated(t *testing.T, src config.Source) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	load(t, src)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// manySecrets is manyAccounts with each account's secret in one file.
func manySecrets(t *testing.T, dir string, n int) config.Source {
	src := manyAccounts(dir, n, n)
	var secrets strings.Builder
	for i := range n {
		fmt.Fprintf(&secrets, "customer-%05d: {secret: s-%[1]d}\n", i)
	}
	write(t, filepath.Join(dir, "secrets.yaml"), secrets.String(), 0o600)
	lines := strings.Split(string(src.Bytes), "\n")
	account := ""
	for i, line := range lines {
		if name, ok := strings.CutPrefix(line, "  customer-"); ok {
			account = "customer-" + strings.TrimSuffix(name, ":")
		}
		lines[i] = strings.Replace(line, "${env:SECRET}", "${file:secrets.yaml#"+account+".secret}", 1)
	}
	src.Bytes = []byte(strings.Join(lines, "\n"))
	return src
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
		Bytes: []byte(text.String()), Dir: dir, Sinks: config.TestSinks, KnownProviders: builtIn,
		Environ: environ("STATE_DIRECTORY=/s", "SECRET=s3cret", "TOKENKEEPER_LOG__LEVEL=debug"),
	}
}

// Who could change a file is asked once of it, however many accounts refer to it.
func TestSteersIsAskedOnceOfAFile(t *testing.T) {
	src := manySecrets(t, t.TempDir(), 10)
	asked := 0
	src.Steers = func(path string, _ []int) error {
		if filepath.Base(path) == "secrets.yaml" {
			asked++
			return errors.New("others could change it")
		}
		return nil
	}
	_, _, err := config.Load(src)
	if asked != 1 || strings.Count(err.Error(), "others could change it") != 10 {
		t.Errorf("asked %d times, and told:\n%v", asked, err)
	}
}
