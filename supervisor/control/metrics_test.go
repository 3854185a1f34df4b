package control

import (
	"strings"
	"testing"
	"time"
)

func TestMetrics(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var b strings.Builder
	writeMetrics(&b, Status{
		Now: now,
		Accounts: []Account{
			{
				Name: "one", Provider: "saxo", State: AccountRetrying, Version: 7, Failures: 2, Expiry: now.Add(time.Minute),
				AmbiguousSince: now.Add(-time.Second), Sinks: []Delivery{{Sink: "bot", Lag: 1, Failures: 3}},
			},
			{Name: "two", Provider: `odd"name`, State: AccountNeedsLogin, Expiry: now.Add(-time.Minute)},
		},
		Providers: []Provider{{Name: "saxo", State: ProviderRunning, Generation: 4, Crashes: 1}},
	})
	for _, want := range []string{
		"# TYPE tokenkeeper_account_ambiguous gauge\ntokenkeeper_account_ambiguous{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_ambiguous{account=\"two\",provider=\"odd\\\"name\"} 0\n",
		"tokenkeeper_account_valid{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_needs_login{account=\"two\",provider=\"odd\\\"name\"} 1\n",
		"tokenkeeper_access_token_expiry_timestamp_seconds{account=\"one\",provider=\"saxo\"} 1800000060\n",
		"tokenkeeper_provider_running{provider=\"saxo\"} 1\n",
		"tokenkeeper_sink_lag_versions{sink=\"bot\",account=\"one\"} 1\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the metrics lack\n%s\nthey are\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "# HELP tokenkeeper_account_valid "); n != 1 {
		t.Errorf("a family is announced %d times, want once", n)
	}
}
