package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// sampleStatus has an account in every state, a sink in every state, and a
// provider in trouble.
func sampleStatus() control.Status {
	at := func(d time.Duration) time.Time { return now.Add(d) }
	return control.Status{
		Version: "1.0.0", PID: 4242, StartedAt: at(-76 * time.Hour), Now: now, StateDir: "/var/lib/tokenkeeper", Config: "/etc/tokenkeeper/tokenkeeper.yaml",
		Alerts: []event.Alert{
			{Key: "needs_login:schwab-two", Type: event.NeedsLogin, State: event.AlertRepeated, Account: "schwab-two", Since: at(-2 * time.Hour)},
			{Key: "sink_failing:hook", Type: event.SinkFailing, State: event.AlertRaised, Sink: "hook", Since: at(-33 * time.Minute)},
		},
		Accounts: []control.Account{
			{
				Name: "saxo-live", Provider: "saxo", Shown: refresh.Shown{State: control.AccountRetrying, Version: 1041, Origin: "refresh",
					Expiry: at(4*time.Minute + 10*time.Second), RefreshExpiry: at(44 * time.Minute), LastRefresh: at(-16 * time.Minute), Due: at(20 * time.Second),
					Failures: 3, MaxFailures: 5, LastKind: "rate_limited", LastFailure: at(-10 * time.Second),
					LastError: "the token endpoint https://live.logonvalidation.net/token answered 429 Too Many Requests and asked to be left alone for 30s"},
				Sinks: []control.Delivery{
					{Sink: "cache", Type: "file", Status: sink.Status{Version: 1041, DeliveredAt: at(-16 * time.Minute), Latency: 3 * time.Millisecond}},
					{Sink: "hook", Type: "webhook", Behind: 1, Status: sink.Status{Version: 1040, DeliveredAt: at(-33 * time.Minute), Latency: 80 * time.Millisecond, Failures: 4, LastError: "https://bots.example/token answered 503"}},
				},
			},
			{
				Name: "schwab-main", Provider: "schwab", Shown: refresh.Shown{State: control.AccountValid, Version: 12, Origin: "refresh",
					Expiry: at(12 * time.Minute), RefreshExpiry: at(6*24*time.Hour + 23*time.Hour), RefreshExpiryUncertain: true,
					LastRefresh: at(-18 * time.Minute), Due: at(7 * time.Minute), MaxFailures: 5},
				Sinks: []control.Delivery{
					{Sink: "bot", Type: "unixsocket", Behind: 1, Status: sink.Status{Version: 11, DeliveredAt: at(-43 * time.Minute), Absent: true, LastError: "the consumer is not running"}},
					{Sink: "cache", Type: "file", Status: sink.Status{Version: 12, DeliveredAt: at(-18 * time.Minute), Latency: 900 * time.Microsecond}},
				},
			},
			{
				Name: "schwab-two", Provider: "schwab", Shown: refresh.Shown{State: control.AccountNeedsLogin, Version: 3, Origin: "import",
					Expiry: at(-26 * time.Hour), RefreshRefused: true, MaxFailures: 5, Failures: 1,
					LastKind: "invalid_grant", LastError: "the authorization server refused the grant", LastFailure: at(-2 * time.Hour),
					AmbiguousSince: at(-3 * time.Hour)}, Advice: "log in with: tokenkeeper login schwab-two",
				Sinks: []control.Delivery{{Sink: "hook", Type: "webhook", Status: sink.Status{Version: 3, Disabled: true, LastError: "the receiver says that it is gone for good"}}},
			},
			{Name: "third", Provider: "other", Shown: refresh.Shown{State: control.AccountNew, MaxFailures: 5, InFlight: true}, Advice: "take one from a token file with: tokenkeeper import third FILE"},
		},
		Providers: []control.Provider{
			{Name: "other", Status: process.Status{State: control.ProviderParked, Generation: 1, LastError: "the checksum of /usr/local/lib/tokenkeeper/plugins/tokenkeeper-provider-other is not the configured one"}},
			{Name: "saxo", Status: process.Status{State: control.ProviderBackoff, Generation: 7, Crashes: 6, NextStart: at(8 * time.Second), LastError: "the process was killed by signal 9"}},
			{Name: "schwab", Status: process.Status{State: control.ProviderRunning, PID: 4243, Generation: 2, StartedAt: at(-75 * time.Minute), Restarts: 1, Version: "1.0.0", InFlight: 1}},
		},
	}
}

func TestStatusTable(t *testing.T) {
	golden(t, "status.golden", renderStatus(sampleStatus(), now, painter{}, textWidth))
}

func TestStatusTellsThatTheEndOfALoginIsNotKnown(t *testing.T) {
	s := sampleStatus()
	s.Accounts = s.Accounts[1:2]
	s.Accounts[0].RefreshExpiry, s.Accounts[0].RefreshExpiryUnknown = time.Time{}, true
	got := renderStatus(s, now, painter{}, textWidth)
	if row, _, _ := strings.Cut(got[strings.Index(got, "schwab-main"):], "\n"); !strings.Contains(row, "unknown") {
		t.Errorf("the row is %q", row)
	}
	if !strings.Contains(got, "tokenkeeper import schwab-main --login-time TIME") {
		t.Errorf("what to do is not told:\n%s", got)
	}
}

func TestStatusTellsThatARefreshEndsTheAccessToken(t *testing.T) {
	s := sampleStatus()
	const want = "a refresh ends the access token that consumers hold"
	before := renderStatus(s, now, painter{}, textWidth)
	s.Accounts[0].OldAccessDies = true
	if got := renderStatus(s, now, painter{}, textWidth); strings.Contains(before, want) || !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
		t.Errorf("it is not told, or always:\n%s", got)
	}
}

// Where there is no refresh token, its column says what brings the next token.
func TestStatusOfAccountsWithoutARefreshToken(t *testing.T) {
	for way, want := range map[string][]string{
		control.WayRenew: {"none: renewed", "a renewal was sent", "a renewal ends the access token that consumers hold: let them take each new one at once"},
		control.WayLogin: {"none: by hand"},
		control.WayMint:  {"none: minted", "a mint was sent", "a mint ends the access token that consumers hold"},
	} {
		s := sampleStatus()
		s.Accounts = s.Accounts[1:2]
		s.Accounts[0].Way, s.Accounts[0].OldAccessDies = way, way != control.WayLogin
		s.Accounts[0].AmbiguousSince = now.Add(-time.Hour)
		got := renderStatus(s, now, painter{}, textWidth)
		words := strings.Join(strings.Fields(got), " ")
		for _, w := range want {
			if !strings.Contains(words, w) {
				t.Errorf("%s: %q is not told:\n%s", way, w, got)
			}
		}
		if strings.Contains(got, "Sep 21") {
			t.Errorf("%s: the end of a refresh token is told:\n%s", way, got)
		}
	}
}

// Of a plugin whose program was replaced it is told what to do, although its process runs.
func TestReplacedPluginIsShown(t *testing.T) {
	const told = "/plugins/acme was replaced or changed; to use what is there now, run: tokenkeeper restart acme"
	s, sinks := sampleStatus(), sampleSinks().Sinks
	s.Providers[2].OldProgram = told
	sinks[5].Process = &control.SinkProcess{State: control.ProviderRunning, OldProgram: told}
	var b strings.Builder
	sinksTable(sinks, now).render(&b, painter{}, 0, 1)
	for verb, text := range map[string]string{"status": renderStatus(s, now, painter{}, textWidth), "sinks": b.String()} {
		if got := strings.Join(strings.Fields(text), " "); strings.Count(got, told) != 1 {
			t.Errorf("%s shows\n%s", verb, text)
		}
	}
}

// A sink that takes no tokens has no account in whose rows it could stand.
func TestStatusShowsASinkOfWhichOnlyAnAlertSpeaks(t *testing.T) {
	s := sampleStatus()
	s.Alerts = append(s.Alerts,
		event.Alert{Key: "sink_failing:phone", Type: event.SinkFailing, State: event.AlertRaised, Sink: "phone", Message: "sink phone has failed since noon"},
		event.Alert{Key: "sink_failing:mail", Type: event.SinkFailing, State: event.AlertRecovered, Sink: "mail"})
	got := renderStatus(s, now, painter{}, textWidth)
	_, table, _ := strings.Cut(got, "\nSINK ")
	if !strings.Contains(table, "\nphone ") || !strings.Contains(table, "sink phone has failed since noon") ||
		strings.Contains(table, "\nmail ") || strings.Count(table, "\nhook ") != 2 {
		t.Errorf("status:\n%s", got)
	}
}

func TestStatusTableIsNotWiderThanATerminal(t *testing.T) {
	s := sampleStatus()
	s.Accounts[0].Name = "a-name-that-somebody-made-much-longer-than-anybody-should-have-made-it"
	s.Accounts[0].Expiry = now.Add(26 * time.Hour)
	s.Providers[0].Name = strings.Repeat("p", 60)
	for i := range s.Accounts {
		for j := range s.Accounts[i].Sinks {
			s.Accounts[i].Sinks[j].Sink = strings.Repeat("s", 50)
		}
	}
	for _, width := range []int{narrow, textWidth} {
		for line := range strings.Lines(renderStatus(s, now, painter{}, width)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestColoursChangeNothingElse(t *testing.T) {
	plain := renderStatus(sampleStatus(), now, painter{}, textWidth)
	coloured := renderStatus(sampleStatus(), now, painter{on: true}, textWidth)
	if coloured == plain {
		t.Error("nothing is coloured")
	}
	var bare strings.Builder
	for rest := coloured; rest != ""; {
		before, after, _ := strings.Cut(rest, "\x1b[")
		bare.WriteString(before)
		_, rest, _ = strings.Cut(after, "m")
	}
	if bare.String() != plain {
		t.Errorf("without its colours:\n%s\nwant:\n%s", bare.String(), plain)
	}
}

func TestClip(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "12345": "12345", "123456": "12345", "éééééé": "ééééé",
		"1\x1b[31m23\x1b[0m45":  "1\x1b[31m23\x1b[0m45",
		"1\x1b[31m23456\x1b[0m": "1\x1b[31m2345\x1b[0m",
	} {
		if got := clip(line, 5); got != want {
			t.Errorf("clip(%q) = %q, want %q", line, got, want)
		}
	}
}

// How a session is, is said beside its account.
func TestSessionNotes(t *testing.T) {
	heard := now.Add(-time.Minute)
	for want, s := range map[string]control.Session{
		"its session is kept alive, heard of 60s ago": {Life: "alive", Heard: heard},
		"":                          {},
		"1 call since failed: EOF":  {Life: "alive", Heard: heard, Failures: 1, LastError: "EOF"},
		"2 calls since failed: EOF": {Failures: 2, LastError: "EOF", Unheard: "EOF"},
		"its session may die of idleness: its calls come 9m0s late": {Life: "alive", Heard: heard, Unheard: "its calls come 9m0s late"},
	} {
		notes := sessionNotes(control.Account{Session: &s}, now)
		if want == "" && len(notes) > 0 || want != "" && (len(notes) != 1 || !strings.Contains(notes[0].text, want)) {
			t.Errorf("%+v, want %q", notes, want)
		}
	}
}

// Why a refresh token is not used is said in the words of whoever holds it back.
func TestStatusTellsWhyATokenIsWithheld(t *testing.T) {
	const why = "it was granted to another client_id: put the configuration back, or log in"
	notes := accountNotes(control.Account{Name: "main", Shown: refresh.Shown{State: control.AccountValid, Withheld: why}}, now)
	if len(notes) != 1 || notes[0].text != "not refreshed: "+why {
		t.Errorf("%+v", notes)
	}
}

// What is only observed says so at its head, and what would be done next.
func TestStatusOfWhoOnlyObserves(t *testing.T) {
	s := sampleStatus()
	s.Observing = true
	for n, would := range []string{"refresh", refresh.WouldWait, refresh.WouldNothing, refresh.WouldSettle} {
		s.Accounts[n].Would = would
	}
	s.Accounts[0].WouldFirst = "the shared file is not there, and our newest token would be put there"
	text := renderStatus(s, now, painter{}, narrow)
	head, _, _ := strings.Cut(text, "\n\n")
	if !strings.Contains(inOneLine(head), observedText) {
		t.Errorf("it does not say so at its head:\n%s", head)
	}
	for _, want := range []string{"a refresh would be sent: in 20s", s.Accounts[0].WouldFirst, "nothing would be sent before that is over", "an attempt is open: its provider's spool would be asked what became of it"} {
		if !strings.Contains(inOneLine(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > narrow {
			t.Errorf("wider than %d: %s", narrow, line)
		}
	}
}

// A reader, who is not told where the state is, nor of any provider, sees nothing in their place.
func TestStatusOfAReader(t *testing.T) {
	s := sampleStatus()
	s.StateDir, s.Providers, s.Alerts = "", nil, nil
	for n := range s.Accounts {
		s.Accounts[n].Sinks = nil
	}
	text := renderStatus(s, now, painter{}, narrow)
	if strings.Contains(text, "state in") || strings.Contains(text, "PROVIDER  STATE") || strings.HasSuffix(text, "\n\n") || !strings.Contains(text, s.Accounts[0].Name) {
		t.Errorf("it says\n%s", text)
	}
}
