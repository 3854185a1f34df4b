package control

import (
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func (all *families) ofSinks(sinks []Sink) {
	sink := family[Sink]{all, sinks, func(s Sink) []string { return []string{"sink", s.Name, "type", s.Type} }}
	sink.gauge("tokenkeeper_sink_up_to_date_accounts", "Accounts of which the sink has the newest token.",
		func(s Sink) float64 { return float64(s.UpToDate) })
	sink.gauge("tokenkeeper_sink_behind_accounts", "Accounts of which the sink lacks the newest token.",
		func(s Sink) float64 { return float64(s.Behind) })
	sink.gauge("tokenkeeper_sink_lag_seconds", "For how long the sink has lacked what it has lacked longest.",
		func(s Sink) float64 { return s.Lag.Seconds() })
	sink.gauge("tokenkeeper_sink_failing", "Accounts and alerts whose newest state the sink failed to take.",
		func(s Sink) float64 { return float64(s.Failing) })
	sink.gauge("tokenkeeper_sink_absent", "1 while the consumer is not running.",
		func(s Sink) float64 { return truth(s.Absent) })
	sink.gauge("tokenkeeper_sink_disabled", "1 while nothing is sent there.",
		func(s Sink) float64 { return truth(s.Disabled != nil) })
	sink.moment("tokenkeeper_sink_last_delivery_timestamp_seconds", "When the sink took the newest delivery; left out before the first.",
		func(s Sink) time.Time { return s.LastDelivery })
	sink.gauge("tokenkeeper_sink_open_notices", "Alerts and events that the sink has still to be told.",
		func(s Sink) float64 { return float64(s.OpenNotices) })
	sink.counter("tokenkeeper_sink_deliveries_total", "Deliveries that the sink took.",
		func(s Sink) float64 { return float64(s.Deliveries) })
	sink.counter("tokenkeeper_sink_failures_total", "Tries to deliver that failed.",
		func(s Sink) float64 { return float64(s.Failures) })
	sink.counter("tokenkeeper_sink_dropped_events_total", "Lifecycle events that were given up.",
		func(s Sink) float64 { return float64(s.DroppedEvents) })

	delivered := family[Sink]{all, slices.DeleteFunc(slices.Clone(sinks), func(s Sink) bool { return s.LastDelivery.IsZero() }), sink.labels}
	delivered.gauge("tokenkeeper_sink_latency_seconds", "From durable to delivered, of the newest delivery.",
		func(s Sink) float64 { return s.Latency.Seconds() })
	plugins := family[Sink]{all, slices.DeleteFunc(slices.Clone(sinks), func(s Sink) bool { return s.Process == nil }), sink.labels}
	plugins.gauge("tokenkeeper_sink_process_running", "1 while the sink's process serves.",
		func(s Sink) float64 { return truth(s.Process.State == ProviderRunning) })
	plugins.counter("tokenkeeper_sink_process_crashes_total", "Ends of the process that nobody asked for.",
		func(s Sink) float64 { return float64(s.Process.Crashes) })
}

// ofAlerts counts the alerts that last, by type. A type that is not there has none.
func (all *families) ofAlerts(alerts []event.Alert) {
	open := map[event.Type]int{}
	for _, a := range alerts {
		open[a.Type] += int(truth(a.State != event.AlertRecovered))
	}
	types := family[event.Type]{all, slices.Sorted(maps.Keys(open)), func(t event.Type) []string { return []string{"type", string(t)} }}
	types.gauge("tokenkeeper_alerts_open", "Alerts that last.", func(t event.Type) float64 { return float64(open[t]) })
}
