package control

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metrics answers GET /v1/metrics in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/). It says what
// the status, the sinks and the alerts say, in numbers.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	status, err := s.backend.Status(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	sinks, err := s.backend.Sinks(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	alerts, err := s.backend.Alerts(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeMetrics(w, status)
	writeSinkMetrics(w, sinks.Sinks)
	writeAlertMetrics(w, alerts.Alerts)
}

// writeMetrics writes every family with all of its samples together, as the
// format wants it.
func writeMetrics(w io.Writer, s Status) {
	account := family[Account]{w, s.Accounts, func(a Account) []string {
		return []string{"account", a.Name, "provider", a.Provider}
	}}
	account.gauge("tokenkeeper_account_valid", "1 while the access token lives.",
		func(a Account) float64 { return truth(a.Expiry.After(s.Now)) })
	account.gauge("tokenkeeper_account_needs_login", "1 while only a person's login can help.",
		func(a Account) float64 { return truth(a.State == AccountNeedsLogin) })
	account.gauge("tokenkeeper_account_ambiguous", "1 while the outcome of an attempt is unknown.",
		func(a Account) float64 { return truth(!a.AmbiguousSince.IsZero()) })
	account.gauge("tokenkeeper_account_failures", "Refreshes in a row that failed.",
		func(a Account) float64 { return float64(a.Failures) })
	account.gauge("tokenkeeper_account_version", "Version of the newest token.",
		func(a Account) float64 { return float64(a.Version) })
	account.gauge("tokenkeeper_access_token_expiry_timestamp_seconds", "When the access token dies; 0: there is none.",
		func(a Account) float64 { return seconds(a.Expiry) })
	account.gauge("tokenkeeper_refresh_token_expiry_timestamp_seconds", "When the refresh token dies; 0: not known.",
		func(a Account) float64 { return seconds(a.RefreshExpiry) })

	provider := family[Provider]{w, s.Providers, func(p Provider) []string { return []string{"provider", p.Name} }}
	provider.gauge("tokenkeeper_provider_running", "1 while the provider's process serves.",
		func(p Provider) float64 { return truth(p.State == ProviderRunning) })
	provider.gauge("tokenkeeper_provider_generation", "Runs of the provider's process.",
		func(p Provider) float64 { return float64(p.Generation) })
	provider.gauge("tokenkeeper_provider_crashes", "Ends of the process that nobody asked for.",
		func(p Provider) float64 { return float64(p.Crashes) })
	provider.gauge("tokenkeeper_provider_in_flight", "Attempts in flight.",
		func(p Provider) float64 { return float64(p.InFlight) })
	provider.gauge("tokenkeeper_provider_overloaded", "1 while accounts wait too long for their turn.",
		func(p Provider) float64 { return truth(p.Overloaded) })
	provider.gauge("tokenkeeper_provider_overdue_accounts", "Accounts that are due and not in flight.",
		func(p Provider) float64 { return float64(p.Overdue) })
	provider.gauge("tokenkeeper_provider_needed_refreshes_per_second", "Refreshes that the accounts need.",
		func(p Provider) float64 { return p.NeededRate })
	provider.gauge("tokenkeeper_provider_possible_refreshes_per_second", "Refreshes that max_in_flight and the answer time allow.",
		func(p Provider) float64 { return p.PossibleRate })
	provider.gauge("tokenkeeper_provider_answer_seconds", "How long an attempt takes of late; assumed before the first one.",
		func(p Provider) float64 { return p.AnswerTime.Seconds() })

	var lines []sinkLine
	for _, a := range s.Accounts {
		for _, d := range a.Sinks {
			lines = append(lines, sinkLine{a.Name, d})
		}
	}
	sink := family[sinkLine]{w, lines, func(l sinkLine) []string { return []string{"sink", l.Sink, "account", l.account} }}
	sink.gauge("tokenkeeper_sink_behind_versions", "Versions that the sink is behind.",
		func(l sinkLine) float64 { return float64(l.Behind) })
	sink.gauge("tokenkeeper_sink_failures", "Deliveries in a row that failed.",
		func(l sinkLine) float64 { return float64(l.Failures) })
}

type sinkLine struct {
	account string
	Delivery
}

// family writes metrics that share their labels.
type family[T any] struct {
	w      io.Writer
	all    []T
	labels func(T) []string // name, value, name, value …
}

func (f family[T]) gauge(name, help string, value func(T) float64) {
	f.write(name, "gauge", help, value)
}

// counter only grows, and begins at 0 with each start of the supervisor.
func (f family[T]) counter(name, help string, value func(T) float64) {
	f.write(name, "counter", help, value)
}

func (f family[T]) write(name, kind, help string, value func(T) float64) {
	if len(f.all) == 0 {
		return
	}
	_, _ = fmt.Fprintf(f.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	for _, item := range f.all {
		labels := f.labels(item)
		pairs := make([]string, 0, len(labels)/2)
		for i := 0; i < len(labels); i += 2 {
			pairs = append(pairs, labels[i]+`="`+escapeLabel(labels[i+1])+`"`)
		}
		_, _ = fmt.Fprintf(f.w, "%s{%s} %s\n", name, strings.Join(pairs, ","), strconv.FormatFloat(value(item), 'f', -1, 64))
	}
}

// escapeLabel escapes what the format reserves in a label's value.
func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
