package control

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func TestMetrics(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var b strings.Builder
	writeMetrics(&b, Status{
		Now: now,
		Accounts: []Account{
			{
				Name: "one", Provider: "saxo", Shown: refresh.Shown{State: AccountRetrying, Version: 7, Failures: 2, Expiry: now.Add(time.Minute), AmbiguousSince: now.Add(-time.Second)},
				Sinks: []Delivery{{Sink: "bot", Behind: 1, Status: sink.Status{Failures: 3}}},
			},
			{Name: "two", Provider: `odd"name`, Shown: refresh.Shown{State: AccountNeedsLogin, Expiry: now.Add(-time.Minute)}},
		},
		Providers: []Provider{{Name: "saxo", Status: process.Status{State: ProviderRunning, Generation: 4, Crashes: 1}}},
	})
	for _, want := range []string{
		"# TYPE tokenkeeper_account_ambiguous gauge\ntokenkeeper_account_ambiguous{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_ambiguous{account=\"two\",provider=\"odd\\\"name\"} 0\n",
		"tokenkeeper_account_valid{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_needs_login{account=\"two\",provider=\"odd\\\"name\"} 1\n",
		"tokenkeeper_access_token_expiry_timestamp_seconds{account=\"one\",provider=\"saxo\"} 1800000060\n",
		"tokenkeeper_provider_running{provider=\"saxo\"} 1\n",
		"tokenkeeper_sink_behind_versions{sink=\"bot\",account=\"one\"} 1\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the metrics lack\n%s\nthey are\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "# HELP tokenkeeper_account_valid "); n != 1 {
		t.Errorf("a family is announced %d times, want once", n)
	}
}

func TestMetricsOfSinksAndAlerts(t *testing.T) {
	var b strings.Builder
	writeSinkMetrics(&b, []Sink{
		{Name: "bot", Type: "unixsocket", Summary: sink.Summary{UpToDate: 3, Behind: 1, Lag: 90 * time.Second, Failing: 1, Absent: true, Latency: 1500 * time.Microsecond, Deliveries: 12, Failures: 4}},
		{Name: "vault", Type: "redis", Disabled: &Disabled{By: "a person"}, Summary: sink.Summary{DroppedEvents: 2, OpenNotices: 5}, Process: &SinkProcess{State: ProviderRunning, Crashes: 3}},
	})
	writeAlertMetrics(&b, []event.Alert{
		{Type: event.NeedsLogin, State: event.AlertRaised}, {Type: event.NeedsLogin, State: event.AlertRepeated},
		{Type: event.NeedsLogin, State: event.AlertRecovered}, {Type: event.SinkFailing, State: event.AlertRecovered},
	})
	for _, want := range []string{
		"# TYPE tokenkeeper_sink_up_to_date_accounts gauge\ntokenkeeper_sink_up_to_date_accounts{sink=\"bot\",type=\"unixsocket\"} 3\n",
		"tokenkeeper_sink_behind_accounts{sink=\"bot\",type=\"unixsocket\"} 1\n",
		"tokenkeeper_sink_lag_seconds{sink=\"bot\",type=\"unixsocket\"} 90\n",
		"tokenkeeper_sink_latency_seconds{sink=\"bot\",type=\"unixsocket\"} 0.0015\n",
		"# TYPE tokenkeeper_sink_deliveries_total counter\ntokenkeeper_sink_deliveries_total{sink=\"bot\",type=\"unixsocket\"} 12\n",
		"tokenkeeper_sink_failures_total{sink=\"bot\",type=\"unixsocket\"} 4\n",
		"tokenkeeper_sink_disabled{sink=\"vault\",type=\"redis\"} 1\n",
		"tokenkeeper_sink_open_notices{sink=\"vault\",type=\"redis\"} 5\n",
		"TYPE tokenkeeper_sink_process_running gauge\ntokenkeeper_sink_process_running{sink=\"vault\",type=\"redis\"} 1\n# ",
		"tokenkeeper_alerts_open{type=\"needs_login\"} 2\ntokenkeeper_alerts_open{type=\"sink_failing\"} 0\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the metrics lack\n%s\nthey are\n%s", want, b.String())
		}
	}
}
