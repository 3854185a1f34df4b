package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// sampleSinks has a sink in every state.
func sampleSinks() control.Sinks {
	at := func(d time.Duration) time.Time { return now.Add(d) }
	token, alert, lifecycle := sink.KindToken, sink.KindAlert, sink.KindLifecycle
	return control.Sinks{Now: now, Sinks: []control.Sink{
		{Name: "bot", Type: "unixsocket", Accounts: []string{"schwab-main"}, Summary: sink.Summary{Kinds: []sink.Kind{token}, Behind: 1, Lag: 43 * time.Minute,
			Absent: true, LastError: "the consumer is not running", LastDelivery: at(-76 * time.Minute), Latency: time.Millisecond}},
		{Name: "cache", Type: "file", Accounts: []string{"a", "b", "c"}, Summary: sink.Summary{Kinds: []sink.Kind{token}, UpToDate: 2,
			LastDelivery: at(-18 * time.Minute), Latency: 900 * time.Microsecond, Deliveries: 40, LastError: "an old one"}},
		{Name: "hook", Type: "webhook", Accounts: []string{"a", "b"}, Summary: sink.Summary{Kinds: []sink.Kind{token, alert, lifecycle}, UpToDate: 1, Behind: 1,
			Lag: 33 * time.Minute, Failing: 1, Failures: 4, LastError: "https://bots.example/token answered 503", LastErrorAt: at(-20 * time.Second),
			Next: at(40 * time.Second), LastDelivery: at(-50 * time.Minute), OpenNotices: 1, DroppedEvents: 3}},
		{Name: "old-hook", Type: "webhook", Accounts: []string{"a"}, Disabled: &control.Disabled{By: "the receiver", Since: at(-25 * time.Hour)},
			Summary: sink.Summary{Kinds: []sink.Kind{token}, Behind: 1, Lag: 26 * time.Hour, LastError: "the receiver says that it is gone for good"}},
		{Name: "phone", Type: "notify", Accounts: []string{}, Summary: sink.Summary{Kinds: []sink.Kind{alert}, LastDelivery: at(-2 * time.Hour)}},
		{Name: "vault", Type: "gcp-secret-manager", Accounts: []string{"a"}, Summary: sink.Summary{Kinds: []sink.Kind{token, alert}, Behind: 1, Lag: time.Second},
			Process: &control.SinkProcess{State: control.ProviderCrashing, Crashes: 5, NextStart: at(90 * time.Second), LastError: "exit status 2"}},
	}}
}

func sampleAlerts() control.Alerts {
	at := func(d time.Duration) time.Time { return now.Add(d) }
	return control.Alerts{Now: now, Alerts: []event.Alert{
		{Key: "needs_login:schwab-two", Type: event.NeedsLogin, State: event.AlertRepeated, Version: 3, Account: "schwab-two", Provider: "schwab",
			Message: "account schwab-two needs a login: the broker has ended it; log in with: tokenkeeper login schwab-two", Since: at(-26 * time.Hour), ChangedAt: at(-2 * time.Hour)},
		{Key: "refresh_failing:saxo", Type: event.RefreshFailing, State: event.AlertRaised, Version: 1, Provider: "saxo", Accounts: 3, Hush: &event.Hush{At: now, Until: at(2 * time.Hour)},
			Message: "3 accounts at saxo can't be refreshed: a, b, c", Since: at(-time.Hour), ChangedAt: at(-time.Hour)},
		{Key: "disk_trouble:*", Type: event.DiskTrouble, State: event.AlertRaised, Version: 1, Message: "the state directory is full", Since: at(-time.Minute), ChangedAt: at(-time.Minute)},
		{Key: "sink_failing:hook", Type: event.SinkFailing, State: event.AlertRecovered, Version: 2, Sink: "hook", Message: "sink hook works again", Since: at(-time.Hour), ChangedAt: at(-5 * time.Minute)},
	}}
}

func (f *fake) Sinks(context.Context) (control.Sinks, error) {
	if f.observes {
		return control.Sinks{Now: now, Sinks: []control.Sink{}, Observing: true}, nil
	}
	return sampleSinks(), nil
}

func (f *fake) AcknowledgeAlert(_ context.Context, key string) (event.Alert, error) {
	return event.Alert{Key: key, Hush: &event.Hush{At: now}}, nil
}

func (f *fake) SilenceAlert(_ context.Context, key string, during time.Duration) (event.Alert, error) {
	return event.Alert{Key: key, Hush: &event.Hush{At: now, Until: now.Add(during)}}, nil
}

func (f *fake) ResumeAlert(_ context.Context, key string) (event.Alert, error) {
	return event.Alert{Key: key}, nil
}

func (f *fake) Alerts(context.Context) (control.Alerts, error) { return sampleAlerts(), nil }

func (f *fake) sink(name string) (control.Sink, error) {
	for _, s := range sampleSinks().Sinks {
		if s.Name == name {
			return s, nil
		}
	}
	return control.Sink{}, control.Errorf(control.CodeNotFound, "no sink is named %q; did you mean %q?", name, "bot")
}

func (f *fake) TestSink(_ context.Context, name string) (control.SinkTestAnswer, error) {
	if _, err := f.sink(name); err != nil {
		return control.SinkTestAnswer{}, err
	}
	if name == "hook" {
		return control.SinkTestAnswer{}, control.Errorf(control.CodeUnavailable, "sink %q: https://bots.example/token answered 503", name)
	}
	return control.SinkTestAnswer{Sink: name, Done: "wrote and removed a file beside it"}, nil
}

func (f *fake) Redeliver(_ context.Context, name, account string, _ bool) (control.RedeliverAnswer, error) {
	s, err := f.sink(name)
	n := s.UpToDate
	if account != "" {
		n = 1
	}
	return control.RedeliverAnswer{Sink: name, Account: account, Deliveries: n}, err
}

func (f *fake) DisableSink(_ context.Context, name string) (control.Sink, error) {
	s, err := f.sink(name)
	s.Disabled = &control.Disabled{By: "a person", Since: now}
	return s, err
}

func (f *fake) EnableSink(_ context.Context, name string) (control.Sink, error) {
	s, err := f.sink(name)
	s.Disabled = nil
	return s, err
}

func (f *fake) RestartSink(_ context.Context, name string) (control.SinkRestartAnswer, error) {
	if name == "bot" {
		return control.SinkRestartAnswer{}, control.Errorf(control.CodeBadRequest, "sink %q has no process", name)
	}
	return control.SinkRestartAnswer{Sink: name, OldPID: 4300, PID: 4310, Generation: 3}, nil
}

func TestSinkTable(t *testing.T) {
	var b strings.Builder
	sinksTable(sampleSinks().Sinks, now).render(&b, painter{}, 0, 1)
	golden(t, "sinks.golden", b.String())
}

// A sink of whose accounts none has a token yet is not called well: nothing shows that
// it works.
func TestSinkBeforeTheFirstToken(t *testing.T) {
	token := sink.Summary{Kinds: []sink.Kind{sink.KindToken}}
	for state, s := range map[string]control.Sink{
		"no token": {Name: "bot", Accounts: []string{"a", "b"}, Summary: token},
		"ok":       {Name: "phone", Accounts: []string{"a"}, Summary: sink.Summary{Kinds: []sink.Kind{sink.KindAlert}}},
		"failing":  {Name: "hook", Accounts: []string{"a"}, Summary: sink.Summary{Kinds: token.Kinds, Failing: 1}},
	} {
		var b strings.Builder
		sinksTable([]control.Sink{s}, now).render(&b, painter{}, 0, 1)
		if told := strings.Contains(b.String(), "it waits for the first token of a, b"); !strings.Contains(b.String(), state) || told != (state == "no token") {
			t.Errorf("%s:\n%s", state, b.String())
		}
	}
}

func TestAlertTable(t *testing.T) {
	var b strings.Builder
	alertTable(sampleAlerts().Alerts, now).render(&b, painter{}, 1)
	golden(t, "alerts.golden", b.String())
}

func TestSinkTablesFitEightyColumns(t *testing.T) {
	sinks, alerts := sampleSinks().Sinks, sampleAlerts().Alerts
	for i := range sinks {
		sinks[i].Name = strings.Repeat("s", 40)
		sinks[i].LastError = strings.Repeat("word ", 60)
	}
	for i := range alerts {
		alerts[i].Account = strings.Repeat("a", 60)
	}
	var b strings.Builder
	sinksTable(sinks, now).render(&b, painter{}, 0, 1)
	alertTable(alerts, now).render(&b, painter{}, 1)
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > narrow {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestAlertLine(t *testing.T) {
	all := sampleAlerts().Alerts
	ahead := append([]event.Alert{{Type: event.LoginDueSoon, Accounts: 1, Account: "schwab-one"}}, all...)
	if got := alertLine(ahead, textWidth); !strings.HasPrefix(got, "4 alerts: needs login schwab-two, ") || ahead[0].Type != event.LoginDueSoon {
		t.Errorf("what is only to come stands first: %q", got)
	}
	behind := append([]event.Alert{{Type: event.DiskTrouble}, {Type: event.ProviderParked, Provider: "saxo"}}, all...)
	if got := alertLine(behind, textWidth); !strings.HasPrefix(got, "5 alerts: needs login schwab-two, disk trouble, ") {
		t.Errorf("what a person has to do stands behind other trouble: %q", got)
	}
	if got := alertLine(all[3:], textWidth); got != "" {
		t.Errorf("of an alert that is over: %q", got)
	}
	if got, want := alertLine(all, textWidth), `3 alerts: needs login schwab-two, refresh failing saxo (3), disk trouble; see "tokenkeeper alerts"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	many := slices.Repeat(all[:1], 50)
	got := alertLine(many, textWidth)
	if n := utf8.RuneCountInString(got); n > textWidth || !strings.HasPrefix(got, "50 alerts: needs login schwab-two, ") || !strings.Contains(got, ", … 4") {
		t.Errorf("%d columns: %s", n, got)
	}
}

func TestSinkVerbs(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr []string
	}{
		{"alerts ack disk_trouble:*", 0, "disk_trouble:*: acknowledged: it is not repeated; its end is told\n", nil},
		{"alerts silence disk_trouble:* --for 2h", 0, "disk_trouble:*: silenced until 16:20:00 in 2h; its end is told\n", nil},
		{"alerts resume disk_trouble:*", 0, "disk_trouble:*: it is told and repeated again\n", nil},
		{"sinks test cache", 0, "cache: it works: wrote and removed a file beside it\n", nil},
		{"sinks test hook", 1, "", []string{`tokenkeeper: sink "hook": https://bots.example/token answered 503`}},
		{"sinks test bto", 1, "", []string{`tokenkeeper: no sink is named "bto"; did you mean "bot"?`}},
		{"sinks redeliver cache", 0, "cache: 2 deliveries are on their way\n", nil},
		{"sinks redeliver cache a", 0, "cache: 1 delivery is on its way\n", nil},
		{"sinks redeliver phone", 0, "phone: there is nothing to deliver yet: none of its accounts has a valid token\n", nil},
		{"sinks disable hook", 0, "hook: disabled until \"tokenkeeper sinks enable hook\" or a restart of the supervisor\n", nil},
		{"sinks enable hook", 0, "hook: enabled: it gets what it missed\n", nil},
		{"sinks restart vault", 0, "vault: PID 4300 was replaced by PID 4310 (generation 3)\n", nil},
		{"sinks restart bot", 1, "", []string{`tokenkeeper: sink "bot" has no process`}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			command(t, "", append(strings.Fields(tt.args), "--socket", socket)...).says(t, tt.code, tt.stdout, tt.stderr...)
		})
	}
}

func TestSinkVerbsAsJSON(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	out := func(line string) string {
		t.Helper()
		got := command(t, "", append(strings.Fields(line), "--json", "--socket", socket)...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("%s: exit code %d, stderr %s", line, got.code, got.stderr)
		}
		return got.stdout
	}
	if got := decode[control.Sinks](t, out("sinks")); len(got.Sinks) != 6 || got.Sinks[5].Process.Crashes != 5 {
		t.Errorf("sinks: %+v", got)
	}
	if got := decode[control.Alerts](t, out("alerts")); len(got.Alerts) != 3 {
		t.Errorf("alerts: %+v", got)
	}
	if got := decode[control.Alerts](t, out("alerts --all")); len(got.Alerts) != 4 {
		t.Errorf("alerts --all: %+v", got)
	}
	if got := decode[event.Alert](t, out("alerts silence disk_trouble:* --for 1h")); !got.Hush.Until.Equal(now.Add(time.Hour)) {
		t.Errorf("alerts silence: %+v", got)
	}
	if got := decode[control.SinkTestAnswer](t, out("sinks test cache")); got.Done == "" {
		t.Errorf("sinks test: %+v", got)
	}
	if got := decode[control.RedeliverAnswer](t, out("sinks redeliver cache a")); got.Account != "a" {
		t.Errorf("sinks redeliver: %+v", got)
	}
	if got := decode[control.Sink](t, out("sinks disable hook")); got.Disabled == nil {
		t.Errorf("sinks disable: %+v", got)
	}
	if got := decode[control.Sink](t, out("sinks enable old-hook")); got.Disabled != nil {
		t.Errorf("sinks enable: %+v", got)
	}
	if got := decode[control.SinkRestartAnswer](t, out("sinks restart vault")); got.PID != 4310 {
		t.Errorf("sinks restart: %+v", got)
	}
}

// Who only observes has opened no sink: that says nothing of the configuration.
func TestSinksOfWhoOnlyObserves(t *testing.T) {
	socket, _, _ := serve(t, &fake{status: sampleStatus, observes: true})
	command(t, "", "sinks", "--socket", socket).says(t, exitOK, "no sink is opened, as this supervisor only observes; those of the configuration are shown by: tokenkeeper check\n")
}
