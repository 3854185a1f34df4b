package control

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// metrics answers GET /metrics, and /v1/metrics, in the formats of Prometheus and OpenMetrics
// (https://prometheus.io/docs/instrumenting/exposition_formats/). It says what
// the status, the sinks and the alerts say, in numbers.
func (m monitored) metrics(w http.ResponseWriter, r *http.Request) {
	status, err := m.backend.Status(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	sinks, err := m.backend.Sinks(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	alerts, err := m.backend.Alerts(r.Context())
	if err != nil {
		writeError(w, asError(err))
		return
	}
	var all families
	all.ofStatus(status)
	all.ofSinks(sinks.Sinks)
	all.ofMemory(status, sinks.Sinks)
	all.ofAlerts(alerts.Alerts)
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Cache-Control", "no-store")
	encoder := expfmt.NewEncoder(w, format)
	for _, f := range all {
		if err := encoder.Encode(f); err != nil {
			return // the scraper is gone
		}
	}
	if end, ok := encoder.(expfmt.Closer); ok {
		_ = end.Close() // as OpenMetrics wants it; the scraper may be gone
	}
}

func (all *families) ofStatus(s Status) {
	build := family[Status]{all, []Status{s}, func(s Status) []string { return []string{"version", s.Version} }}
	build.gauge("tokenkeeper_build_info", "1, and which version runs.", func(Status) float64 { return 1 })
	supervisor := family[Status]{all, []Status{s}, func(s Status) []string { return nil }}
	supervisor.moment("tokenkeeper_start_timestamp_seconds", "When the supervisor was started.",
		func(s Status) time.Time { return s.StartedAt })
	supervisor.moment("tokenkeeper_look_timestamp_seconds", "When it was looked last whether alerts begin or end; left out before that.",
		func(s Status) time.Time { return s.LookedAt })
	if s.Heartbeat != nil {
		sign := family[heartbeat.Status]{all, []heartbeat.Status{*s.Heartbeat}, func(h heartbeat.Status) []string { return []string{"to", h.To} }}
		sign.gauge("tokenkeeper_heartbeat_beating", "1 while the service that waits for the heartbeat takes it.",
			func(h heartbeat.Status) float64 { return truth(h.State == heartbeat.Beating) })
	}
	if s.Metrics != nil {
		supervisor.moment("tokenkeeper_metrics_certificate_expiration_timestamp_seconds", "When the certificate ends with which metrics are served over TCP.",
			func(s Status) time.Time { return s.Metrics.CertificateExpiry })
		supervisor.gauge("tokenkeeper_metrics_certificate_unusable", "1 while the certificate in the files can't be used, and so the one before is shown.",
			func(s Status) float64 { return truth(s.Metrics.CertificateProblem != "") })
	}

	account := family[Account]{all, s.Accounts, func(a Account) []string {
		return []string{"account", a.Name, "provider", a.Provider}
	}}
	account.gauge("tokenkeeper_account_valid", "1 while the access token lives.",
		func(a Account) float64 { return truth(a.Expiry.After(s.Now)) })
	account.gauge("tokenkeeper_account_needs_login", "1 while only a person's login can help.",
		func(a Account) float64 { return truth(a.State == AccountNeedsLogin) })
	account.gauge("tokenkeeper_account_paused", "1 while a person wants nothing to be asked of its broker.",
		func(a Account) float64 { return truth(a.Pause != nil) })
	account.gauge("tokenkeeper_account_ambiguous", "1 while the outcome of an attempt is unknown.",
		func(a Account) float64 { return truth(!a.AmbiguousSince.IsZero()) })
	account.gauge("tokenkeeper_account_failures", "Refreshes in a row that failed.",
		func(a Account) float64 { return float64(a.Failures) })
	account.gauge("tokenkeeper_account_version", "Version of the newest token.",
		func(a Account) float64 { return float64(a.Version) })
	account.moment("tokenkeeper_access_token_expiration_timestamp_seconds", "When the access token dies; left out if there is none.",
		func(a Account) time.Time { return a.Expiry })
	account.moment("tokenkeeper_refresh_token_expiration_timestamp_seconds", "When the refresh token dies; left out if nobody knows.",
		func(a Account) time.Time { return a.RefreshExpiry })
	account.moment("tokenkeeper_grant_expiration_timestamp_seconds", "When the login is over, however it is refreshed; left out if nobody knows, or it does not end so.",
		func(a Account) time.Time { return a.GrantExpiry })
	account.moment("tokenkeeper_account_due_timestamp_seconds", "When the account is due; left out if it is not by itself.",
		func(a Account) time.Time { return a.Due })
	account.moment("tokenkeeper_account_last_refresh_timestamp_seconds", "When the newest token came by a refresh or a mint; left out if it came otherwise.",
		func(a Account) time.Time { return a.LastRefresh })

	all.ofOutages(s.Accounts)

	provider := family[Provider]{all, s.Providers, func(p Provider) []string { return []string{"provider", p.Name} }}
	provider.gauge("tokenkeeper_provider_running", "1 while the provider's process serves.",
		func(p Provider) float64 { return truth(p.State == ProviderRunning) })
	provider.gauge("tokenkeeper_provider_parked", "1 while it can't run until a person changes something.",
		func(p Provider) float64 { return truth(p.State == ProviderParked) })
	provider.gauge("tokenkeeper_provider_stuck", "1 while its refresh loop sleeps past an account that is due.",
		func(p Provider) float64 { return truth(p.Stuck) })
	provider.gauge("tokenkeeper_provider_generation", "Runs of the provider's process.",
		func(p Provider) float64 { return float64(p.Generation) })
	provider.counter("tokenkeeper_provider_crashes_total", "Ends of the process that nobody asked for.",
		func(p Provider) float64 { return float64(p.Crashes) })
	provider.counter("tokenkeeper_provider_restarts_total", "Restarts of the process that a person asked for.",
		func(p Provider) float64 { return float64(p.Restarts) })
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

	all.ofAttempts(s.Providers)

	var lines []sinkLine
	for _, a := range s.Accounts {
		for _, d := range a.Sinks {
			lines = append(lines, sinkLine{a.Name, d})
		}
	}
	sink := family[sinkLine]{all, lines, func(l sinkLine) []string { return []string{"sink", l.Sink, "account", l.account} }}
	sink.gauge("tokenkeeper_sink_behind_versions", "Versions that the sink is behind.",
		func(l sinkLine) float64 { return float64(l.Behind) })
	sink.gauge("tokenkeeper_sink_failures", "Deliveries in a row that failed.",
		func(l sinkLine) float64 { return float64(l.Failures) })
}

// ofOutages are the outage budgets that are known.
func (all *families) ofOutages(accounts []Account) {
	budget := family[Account]{
		all, slices.DeleteFunc(slices.Clone(accounts), func(a Account) bool { return a.Outage == nil }),
		func(a Account) []string { return []string{"account", a.Name, "provider", a.Provider} },
	}
	budget.gauge("tokenkeeper_account_outage_budget_seconds", "For how long the account's consumers go on if no token comes any more from now on; left out if nobody knows.",
		func(a Account) float64 { return a.Outage.Left.Seconds() })
	budget.gauge("tokenkeeper_account_outage_budget_worst_seconds", "The least of that in the last day.",
		func(a Account) float64 { return a.Outage.Worst.Seconds() })
	budget.gauge("tokenkeeper_account_outage_budget_planned_seconds", "The least of that as long as each token comes as it is planned; 0: none is planned.",
		func(a Account) float64 { return a.Outage.Planned.Seconds() })
}

type sinkLine struct {
	account string
	Delivery
}

// ended is how many attempts at a provider had an outcome.
type ended struct {
	provider string
	refresh.Outcome
	count uint64
}

// ofAttempts are the attempts that have ended since the start.
func (all *families) ofAttempts(providers []Provider) {
	var outcomes []ended
	for _, p := range providers {
		for _, of := range slices.SortedFunc(maps.Keys(p.Measured.Ended), func(x, y refresh.Outcome) int {
			return cmp.Or(cmp.Compare(x.Act, y.Act), cmp.Compare(x.Result, y.Result))
		}) {
			outcomes = append(outcomes, ended{p.Name, of, p.Measured.Ended[of]})
		}
	}
	outcome := family[ended]{all, outcomes, func(e ended) []string {
		return []string{"provider", e.provider, "act", e.Act, "result", e.Result}
	}}
	outcome.counter("tokenkeeper_attempts_total", "Attempts that have ended, by what they were and what came of them.",
		func(e ended) float64 { return float64(e.count) })
	provider := family[Provider]{all, providers, func(p Provider) []string { return []string{"provider", p.Name} }}
	provider.histogram("tokenkeeper_attempt_duration_seconds", "For how long attempts were under way.",
		func(p Provider) refresh.Spread { return p.Measured.Took })
	provider.histogram("tokenkeeper_turn_lateness_seconds", "How long after its moment an account had its turn.",
		func(p Provider) refresh.Spread { return p.Measured.Late })
}
