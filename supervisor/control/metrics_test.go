package control

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// exposed is what a scraper reads, which must have nothing that promtool's check of
// metrics finds fault with.
func exposed(t *testing.T, all families) string {
	t.Helper()
	var b strings.Builder
	encoder := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range all {
		if err := encoder.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := promlint.New(strings.NewReader(b.String())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var all families
	all.ofStatus(Status{
		Now: now, Version: "1.2.3", Metrics: &MetricsListener{CertificateExpiry: now.Add(time.Hour), CertificateProblem: "it is half written"},
		Accounts: []Account{
			{
				Name: "one", Provider: "saxo", Shown: refresh.Shown{State: AccountRetrying, Version: 7, Failures: 2, Expiry: now.Add(time.Minute), AmbiguousSince: now.Add(-time.Second), LastRefresh: now},
				Outage: &Outage{Left: 90 * time.Second, Worst: time.Minute, Planned: 5 * time.Minute},
				Sinks:  []Delivery{{Sink: "bot", Behind: 1, Status: sink.Status{Failures: 3}}},
			},
			{Name: "two", Provider: `odd"name`, Shown: refresh.Shown{State: AccountNeedsLogin, Expiry: now.Add(-time.Minute), RefreshExpiry: now.Add(time.Hour), GrantExpiry: now.Add(2 * time.Hour)}},
			{Name: "none"},
		},
		Providers: []Provider{{
			Name: "saxo", Status: process.Status{State: ProviderRunning, Generation: 4, Crashes: 1, Restarts: 5}, Stuck: true,
			Measured: refresh.Measured{
				Ended: map[refresh.Outcome]uint64{{Act: "refresh", Result: "ok"}: 7, {Act: "refresh", Result: "transient"}: 2},
				Took:  refresh.Spread{Bounds: []float64{0.5, 1}, Within: []uint64{6, 8}, Count: 9, Sum: 5.5},
			},
		}},
		Heartbeat: &heartbeat.Status{To: "hc-ping.com", State: heartbeat.Beating},
	})
	got := exposed(t, all)
	for _, want := range []string{
		"# TYPE tokenkeeper_account_ambiguous gauge\ntokenkeeper_account_ambiguous{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_ambiguous{account=\"two\",provider=\"odd\\\"name\"} 0\n",
		"tokenkeeper_account_valid{account=\"one\",provider=\"saxo\"} 1\n",
		"tokenkeeper_account_needs_login{account=\"two\",provider=\"odd\\\"name\"} 1\n",
		"tokenkeeper_access_token_expiration_timestamp_seconds{account=\"one\",provider=\"saxo\"} 1.80000006e+09\n",
		"tokenkeeper_provider_running{provider=\"saxo\"} 1\n", "tokenkeeper_provider_parked{provider=\"saxo\"} 0\n", "tokenkeeper_provider_stuck{provider=\"saxo\"} 1\n",
		"tokenkeeper_metrics_certificate_unusable 1\n",
		"gauge\ntokenkeeper_account_outage_budget_seconds{account=\"one\",provider=\"saxo\"} 90\n# ",
		"gauge\ntokenkeeper_account_outage_budget_worst_seconds{account=\"one\",provider=\"saxo\"} 60\n# ",
		"gauge\ntokenkeeper_account_outage_budget_planned_seconds{account=\"one\",provider=\"saxo\"} 300\n# ",
		// Of each end that nobody knows there is no sample.
		"gauge\ntokenkeeper_access_token_expiration_timestamp_seconds{account=\"one\",provider=\"saxo\"} 1.80000006e+09\n" +
			"tokenkeeper_access_token_expiration_timestamp_seconds{account=\"two\",provider=\"odd\\\"name\"} 1.79999994e+09\n# ",
		"gauge\ntokenkeeper_refresh_token_expiration_timestamp_seconds{account=\"two\",provider=\"odd\\\"name\"} 1.8000036e+09\n# ",
		"gauge\ntokenkeeper_grant_expiration_timestamp_seconds{account=\"two\",provider=\"odd\\\"name\"} 1.8000072e+09\n# ",
		"tokenkeeper_build_info{version=\"1.2.3\"} 1\n", "tokenkeeper_metrics_certificate_expiration_timestamp_seconds 1.8000036e+09\n",
		"tokenkeeper_account_last_refresh_timestamp_seconds{account=\"one\",provider=\"saxo\"} 1.8e+09\n",
		"# TYPE tokenkeeper_attempts_total counter\ntokenkeeper_attempts_total{provider=\"saxo\",act=\"refresh\",result=\"ok\"} 7\n" +
			"tokenkeeper_attempts_total{provider=\"saxo\",act=\"refresh\",result=\"transient\"} 2\n",
		"# TYPE tokenkeeper_attempt_duration_seconds histogram\ntokenkeeper_attempt_duration_seconds_bucket{provider=\"saxo\",le=\"0.5\"} 6\n",
		"tokenkeeper_attempt_duration_seconds_bucket{provider=\"saxo\",le=\"+Inf\"} 9\ntokenkeeper_attempt_duration_seconds_sum{provider=\"saxo\"} 5.5\n",
		"tokenkeeper_heartbeat_beating{to=\"hc-ping.com\"} 1\n",
		"tokenkeeper_sink_behind_versions{sink=\"bot\",account=\"one\"} 1\n",
		"counter\ntokenkeeper_provider_crashes_total{provider=\"saxo\"} 1\n", "counter\ntokenkeeper_provider_restarts_total{provider=\"saxo\"} 5\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack\n%s\nthey are\n%s", want, got)
		}
	}
	// What is not known, or has not been, is no moment of 1970.
	for _, unknown := range []string{"tokenkeeper_look_timestamp_seconds", "tokenkeeper_account_due_timestamp_seconds"} {
		if strings.Contains(got, unknown) {
			t.Errorf("%s is there, and nobody knows it:\n%s", unknown, got)
		}
	}
	if n := strings.Count(got, "# HELP tokenkeeper_account_valid "); n != 1 {
		t.Errorf("a family is announced %d times, want once", n)
	}
}

func TestMetricsOfSinksAndAlerts(t *testing.T) {
	var all families
	all.ofSinks([]Sink{
		{Name: "bot", Type: "unixsocket", Summary: sink.Summary{UpToDate: 3, Behind: 1, Lag: 90 * time.Second, Failing: 1, Absent: true, LastDelivery: time.Unix(1_800_000_000, 0), Latency: 1500 * time.Microsecond, Deliveries: 12, Failures: 4}},
		{Name: "vault", Type: "redis", Disabled: &Disabled{By: "a person"}, Summary: sink.Summary{DroppedEvents: 2, OpenNotices: 5}, Process: &SinkProcess{State: ProviderRunning, Crashes: 3}},
	})
	all.ofAlerts([]event.Alert{
		{Type: event.NeedsLogin, State: event.AlertRaised}, {Type: event.NeedsLogin, State: event.AlertRepeated},
		{Type: event.NeedsLogin, State: event.AlertRecovered}, {Type: event.SinkFailing, State: event.AlertRecovered},
	})
	got := exposed(t, all)
	for _, want := range []string{
		"# TYPE tokenkeeper_sink_up_to_date_accounts gauge\ntokenkeeper_sink_up_to_date_accounts{sink=\"bot\",type=\"unixsocket\"} 3\n",
		"tokenkeeper_sink_behind_accounts{sink=\"bot\",type=\"unixsocket\"} 1\n",
		"tokenkeeper_sink_lag_seconds{sink=\"bot\",type=\"unixsocket\"} 90\n",
		"gauge\ntokenkeeper_sink_latency_seconds{sink=\"bot\",type=\"unixsocket\"} 0.0015\n# ",
		"gauge\ntokenkeeper_sink_last_delivery_timestamp_seconds{sink=\"bot\",type=\"unixsocket\"} 1.8e+09\n# ",
		"# TYPE tokenkeeper_sink_deliveries_total counter\ntokenkeeper_sink_deliveries_total{sink=\"bot\",type=\"unixsocket\"} 12\n",
		"tokenkeeper_sink_failures_total{sink=\"bot\",type=\"unixsocket\"} 4\n",
		"tokenkeeper_sink_disabled{sink=\"vault\",type=\"redis\"} 1\n",
		"tokenkeeper_sink_open_notices{sink=\"vault\",type=\"redis\"} 5\n",
		"TYPE tokenkeeper_sink_process_running gauge\ntokenkeeper_sink_process_running{sink=\"vault\",type=\"redis\"} 1\n# ",
		"counter\ntokenkeeper_sink_process_crashes_total{sink=\"vault\",type=\"redis\"} 3\n",
		"tokenkeeper_alerts_open{type=\"needs_login\"} 2\ntokenkeeper_alerts_open{type=\"sink_failing\"} 0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack\n%s\nthey are\n%s", want, got)
		}
	}
}

// TestMemoryOfProcesses: that of the supervisor, and of each process of its own that runs.
func TestMemoryOfProcesses(t *testing.T) {
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	})
	held := make([]byte, 64<<20) // resident once it is written to
	for n := 0; n < len(held); n += os.Getpagesize() {
		held[n] = 1
	}
	var all families
	all.ofMemory(Status{PID: os.Getpid(), Providers: []Provider{
		{Name: "saxo", Status: process.Status{PID: sleeper.Process.Pid}}, {Name: "parked"},
	}}, []Sink{{Name: "bot"}, {Name: "vault", Process: &SinkProcess{PID: sleeper.Process.Pid}}, {Name: "gone", Process: &SinkProcess{}}})
	runtime.KeepAlive(held)
	if len(all) != 1 || all[0].GetName() != "tokenkeeper_process_resident_memory_bytes" {
		t.Fatalf("%v", all)
	}
	exposed(t, all)
	said := ""
	for _, m := range all[0].GetMetric() {
		said += m.GetLabel()[0].GetValue() + " " + m.GetLabel()[1].GetValue() + ", "
		bytes := m.GetGauge().GetValue()
		if own := m.GetLabel()[0].GetValue() == "supervisor"; own && bytes < float64(len(held)) || !own && (bytes < 64<<10 || bytes > 32<<20) {
			t.Errorf("%v has %.0f bytes", m.GetLabel(), bytes)
		}
	}
	if want := "supervisor , provider saxo, sink vault, "; said != want {
		t.Errorf("of %s and not of %s", said, want)
	}
}
