package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// remember writes a history into a state directory, as a supervisor does that was stopped.
func remember(t *testing.T, dir string, events ...event.Event) {
	t.Helper()
	w := history.New(history.Config{Dir: dir, Wall: func() time.Time { return now.Add(-time.Minute) }, Log: slog.New(slog.DiscardHandler)})
	for _, e := range events {
		w.Note(e)
	}
	ctx, end := context.WithCancel(context.Background())
	end()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// pastEvents are those of the last two hours and of the day before.
func pastEvents() []event.Event {
	at := func(ago time.Duration, e event.Event) event.Event {
		e.Time, e.Account, e.Provider = now.Add(-ago), "schwab-main", "schwab"
		return e
	}
	return []event.Event{
		at(26*time.Hour, event.Event{Seq: 1, Type: event.LoggedIn, Version: 1, Expiry: now.Add(-25 * time.Hour), Message: "logged in"}),
		at(time.Hour, event.Event{Seq: 2, Type: event.Refreshed, Version: 2, Expiry: now.Add(-30 * time.Minute), Message: "token refreshed"}),
		at(time.Hour, event.Event{Seq: 3, Type: event.Delivered, Version: 2, Sink: "bot", Message: `sink "bot" has version 2`}),
		at(50*time.Minute, event.Event{Seq: 1, Type: event.Audit, Message: "the control API is asked for refresh", Act: &event.Act{Name: "refresh", Force: true, Caller: event.Caller{UID: 1000, PID: 7, Program: "/bin/tk"}}}),
		at(50*time.Minute, event.Event{Seq: 4, Type: event.RefreshFailed, Kind: "transient", Message: "refresh failed (once, alert from the 5th): account schwab-main: broker.example answered HTTP 503"}),
	}
}

// What has happened is shown without a supervisor, and with one before what happens.
func TestEventsSince(t *testing.T) {
	w := newWorld(t, twoAccounts)
	remember(t, w.state, pastEvents()...)
	got := command(t, "", "events", "--since", "2h", "--no-follow", "-c", w.config)
	want := "2026-09-14\n" +
		"13:20:00  refreshed          schwab-main v2  token refreshed\n" +
		"13:20:00  delivered          schwab-main → bot v2  sink \"bot\" has version 2\n" +
		"13:30:00  refresh failed     schwab-main  refresh failed (once, alert from the 5th): account schwab-main: broker.example answered HTTP 503\n" +
		"14:19:00  run ended          the supervisor ends, as it was told to\n"
	if got.code != exitOK || got.stdout != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	if got := command(t, "", "events", "--since", "3d", "--no-follow", "--audit", "-c", w.config); !strings.HasPrefix(got.stdout, "2026-09-13\n12:20:00  logged in") ||
		!strings.Contains(got.stdout, "refresh by force: /bin/tk (user 1000, PID 7)\n") {
		t.Errorf("of three days: %+v", got)
	}
	if got := command(t, "", "logs", "--since", "2h", "-c", w.config); got.code != exitOK || got.stdout != want {
		t.Errorf("as a log: %+v", got)
	}
	if got := command(t, "", "logs", "-c", w.config); got.stdout != want {
		t.Errorf("of the last hour: %+v", got)
	}
	if got := command(t, "", "events", "--since", "14:00", "--no-follow", "--json", "-c", w.config); decode[event.Event](t, got.stdout).Type != history.RunEnded {
		t.Errorf("as JSON: %+v", got)
	}
	// Without a supervisor the past is shown, and then what keeps it from going on.
	if got := command(t, "", "events", "--since", "2h", "-c", w.config); got.code != exitFailure || got.stdout != want || !strings.Contains(got.stderr, "no supervisor is running") {
		t.Errorf("without a supervisor: %+v", got)
	}
	command(t, "", "events", "--no-follow", "-c", w.config).says(t, exitUsage, "", "tokenkeeper: --no-follow shows what has happened: say since when")
	command(t, "", "events", "--since", "soon", "-c", w.config).says(t, exitUsage, "", `tokenkeeper: --since is a time, like 14:05`, `not "soon"`)
}

func TestEventsSinceGoOnLive(t *testing.T) {
	socket, bus, _ := serve(t, &fake{})
	remember(t, filepath.Dir(socket), pastEvents()...)
	out, stop := follow(t, "logs", "-f", "--since", "2h", "--socket", socket)
	out.until(t, func(s string) bool { return strings.Contains(s, "run ended") })
	for range 3 { // it has these already
		bus.Publish(0, event.Event{Time: now.Add(-time.Minute), Type: event.Delivered, Message: "twice"})
	}
	bus.Publish(0, event.Event{Time: now, Type: event.Delivered, Message: "of a run whose begin is missing"})
	publishUntil(t, bus, out, event.Event{Type: event.ProviderStarted, Provider: "schwab", Message: "provider schwab serves"})
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if s := out.String(); strings.Contains(s, "twice") || strings.Contains(s, "missed") || !strings.Contains(s, "begin is missing") {
		t.Errorf("got %s", s)
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t, twoAccounts)
	command(t, "", "explain", "schwab-main", "-c", w.config).says(t, exitFailure, "What account schwab-main had at 2026-09-14 14:20:00 UTC is not known: there is no history.\n"+
		"The history is written while a supervisor runs, and its oldest part goes when it is full; what is older may be in the log.\n"+
		"See how it is now: tokenkeeper status schwab-main; and what is wrong with this machine: tokenkeeper doctor\n")
	remember(t, w.state, pastEvents()...)
	got := command(t, "", "explain", "schwab-main", "--at", "20m", "-c", w.config)
	for _, want := range []string{
		"At 2026-09-14 14:00:00 UTC account schwab-main had no valid token: version 2, refreshed at 13:20:00, had ended at 13:50:00, 10m before.\n",
		"One attempt at 13:30:00 failed: it was answered HTTP 503: broker.example answered HTTP 503.\n",
		"At 13:30:00 user 1000 asked for a refresh by force.\n",
		"Version 2 was delivered to bot at 13:20:00.\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("not said: %s", want)
		}
	}
	if got.code != exitOK || !strings.HasPrefix(lastLine(got.stdout), "Start it: tokenkeeper run") {
		t.Errorf("%+v", got)
	}
	got = command(t, "", "explain", "schwab-main", "--at", "2026-09-14T13:40:00Z", "--json", "-c", w.config)
	if e := decode[explain.Explanation](t, got.stdout); got.code != exitOK || e.Verdict != explain.Valid || e.Version != 2 || len(e.Sentences) < 3 ||
		len(e.Causes) == 0 || e.Causes[0].Class != "server_error" || len(e.Deliveries) != 1 || e.Deliveries[0].Sink != "bot" {
		t.Errorf("%+v", got)
	}
	command(t, "", "explain", "schwab-main", "--at", "2026-09-14T14:20:01Z", "-c", w.config).says(t, exitUsage, "", "tokenkeeper: --at 2026-09-14T14:20:01Z is yet to come")
	command(t, "", "explain", "-c", w.config).says(t, exitUsage, "", "tokenkeeper: ACCOUNT is missing: tokenkeeper explain ACCOUNT [--at TIME]")
	command(t, "", "explain", "a", "--socket", filepath.Join(t.TempDir(), "c.sock")).says(t, exitUsage, "", "tokenkeeper: there is no history in ", "name the configuration with -c")
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// Who asks for more than the history has is told where it begins, and not who asks for less, or
// of one that is whole.
func TestHistoryBeginsLater(t *testing.T) {
	w := newWorld(t, twoAccounts)
	line := func(ago time.Duration, more string) string {
		return fmt.Sprintf(`{"time":%q,"type":"refreshed","account":"schwab-main","provider":"schwab","version":2,"message":"token refreshed"%s}`+"\n", now.Add(-ago).Format(time.RFC3339), more)
	}
	write(t, filepath.Join(w.state, "history"), line(50*time.Hour, `,"again":true`)+line(time.Hour, "")+line(20*time.Minute, ""))
	const says = "the history begins at 13:20:00 60m ago; what was before that is gone from it, and may be in the log"
	for args, want := range map[string]string{
		"events --since 2h --no-follow": says, "events --since 2h --no-follow --json": says, "logs --since 2h": says, "logs schwab-main --since 2h": says,
		"events --since 30m --no-follow": "", "logs schwab-main": "",
	} {
		got := command(t, "", append(strings.Fields(args), "-c", w.config)...)
		if got.code != exitOK || !strings.Contains(inOneLine(got.stderr), want) || want == "" && got.stderr != "" || !strings.Contains(got.stdout, "token refreshed") {
			t.Errorf("%s: %+v", args, got)
		}
	}
	got := command(t, "", "explain", "schwab-main", "--at", "3h", "-c", w.config)
	if got.code != exitFailure || !strings.Contains(got.stdout, "is not known: the history begins at 13:20:00.") {
		t.Errorf("%+v", got)
	}
}

// What a history says that another user has written, no terminal obeys.
func TestPastIsHarmless(t *testing.T) {
	w := newWorld(t, twoAccounts)
	at := now.Add(-10 * time.Minute)
	const bad = "\x1b]52;c;YQ==\a\u009b2J\u202e\r"
	remember(t, w.state,
		event.Event{Time: at, Type: "refreshed" + bad, Account: "schwab-main", Sink: "a" + bad, Message: "seen" + bad},
		event.Event{Time: at, Type: event.Audit, Act: &event.Act{Name: "refresh" + bad, Caller: event.Caller{Program: "/bin/tk" + bad}}},
		event.Event{Time: at, Type: event.Refreshed, Account: "schwab-main", Version: 1, Expiry: at, Message: "token"},
		event.Event{Time: at, Type: event.Delivered, Account: "schwab-main", Version: 1, Sink: "b" + bad},
		event.Event{Time: at, Type: event.DiskTrouble, Account: "schwab-main", Message: "no space" + bad})
	for _, args := range [][]string{{"events", "--since", "1h", "--no-follow", "--audit"}, {"logs", "--audit"}, {"explain", "schwab-main"}} {
		got := command(t, "", append(args, "-c", w.config)...)
		if got.code != exitOK || !strings.Contains(got.stdout, "no space]52;c;YQ==2J") || strings.ContainsAny(got.stdout+got.stderr, "\x1b\a\u009b\u202e\r") {
			t.Errorf("%s: %q", args[0], got.stdout+got.stderr)
		}
	}
}

// What stands in the place of a part of the history costs that part, and one line says what to do.
func TestPartOfThePastThatIsNoFile(t *testing.T) {
	w := newWorld(t, twoAccounts)
	remember(t, w.state, pastEvents()...)
	pipe := filepath.Join(w.state, "history.before")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := "tokenkeeper: warning: a part of what happened is missing here: " + pipe + " is a named pipe and no history: move it away, and the history goes on by itself\n"
	for _, args := range [][]string{{"events", "--since", "2h", "--no-follow"}, {"logs", "--since", "2h"}, {"explain", "schwab-main", "--at", "20m"}} {
		got := command(t, "", append(args, "-c", w.config)...)
		if got.code != exitOK || inOneLine(got.stderr) != inOneLine(missing) || !strings.Contains(got.stdout, "13:20:00") {
			t.Errorf("%s: %+v", args[0], got)
		}
	}
	if err := os.Rename(filepath.Join(w.state, "history"), filepath.Join(w.dir, "aside")); err != nil {
		t.Fatal(err)
	}
	command(t, "", "explain", "schwab-main", "-c", w.config).says(t, exitFailure, "", "tokenkeeper: the history can't be read: "+pipe+" is a named pipe")
}

// A name that no account has or had is an error, as everywhere; one that was renamed or
// forgotten is told of.
func TestExplainKnowsNames(t *testing.T) {
	w := newWorld(t, twoAccounts)
	remember(t, w.state, append(pastEvents(),
		event.Event{Time: now.Add(-40 * time.Minute), Type: event.Imported, Account: "saxo-live", Provider: "saxo", From: "saxo-old", Version: 3, Expiry: now.Add(-30 * time.Minute), Message: "the login goes on"},
		event.Event{Time: now.Add(-39 * time.Minute), Type: event.Forgotten, Account: "side", Message: "removed"},
		event.Event{Time: now.Add(-38 * time.Minute), Type: event.Audit, Account: "schwab-man", Act: &event.Act{Name: "pause"}})...)
	for name, want := range map[string]string{
		"schwab-man": `no account is named "schwab-man", and the history knows none of that name; did you mean "schwab-main"? There are: schwab-main, saxo-live`,
		"cache":      "there are: saxo-live, schwab-main",
	} {
		for _, verb := range []string{"explain", "logs"} {
			command(t, "", verb, name, "-c", w.config).says(t, exitFailure, "", want)
		}
	}
	for name, want := range map[string]string{
		"saxo-old": "was there no more: its login goes on as account saxo-live since 13:40:00.", "side": "was there no more: what was stored of it was removed at 13:41:00.",
	} {
		if got := command(t, "", "explain", name, "-c", w.config); got.code != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := command(t, "", "explain", "saxo-old", "--json", "-c", w.config); decode[explain.Explanation](t, got.stdout).GoesOnAs != "saxo-live" {
		t.Errorf("as JSON: %+v", got)
	}
}

// Who keeps no history is named, and what its supervisor before has kept is told.
func TestPastBesideAnObserver(t *testing.T) {
	socket, _, _ := serve(t, &fake{status: func() control.Status {
		s := sampleStatus()
		s.Observing, s.StartedAt = true, now.Add(-30*time.Second)
		return s
	}})
	remember(t, filepath.Dir(socket), pastEvents()...)
	got := command(t, "", "explain", "schwab-main", "--socket", socket)
	for _, want := range []string{
		"No supervisor has been running since 14:19:00: it was stopped. Since 14:19:30 one has been running that only observes, and it keeps neither tokens nor a history.\n",
		"End the one that only observes, and start it without --observe. What that one sees is in: tokenkeeper status schwab-main\n",
	} {
		if got.code != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in %+v", want, got)
		}
	}
	got = command(t, "", "logs", "--socket", socket)
	if got.code != exitOK || !strings.Contains(got.stdout, "run ended") || !strings.Contains(got.stderr, "tokenkeeper: warning: since 14:19:30 30s ago one runs that only observes and keeps no history") {
		t.Errorf("%+v", got)
	}
}

// With a name, of that account alone: what was its own, and what names it among others.
func TestLogsOfOneAccount(t *testing.T) {
	socket, bus, _ := serve(t, &fake{})
	at := now.Add(-10 * time.Minute)
	others := []event.Event{
		{Seq: 5, Time: at, Type: event.Refreshed, Account: "saxo-live", Message: "another one's"},
		{Seq: 6, Time: at, Type: event.ProviderStarted, Provider: "schwab", Message: "nobody's own"},
		{Seq: 7, Time: at, Type: event.NeedsLogin, Alert: true, Provider: "schwab", Message: "2 accounts at schwab need a login: schwab-main, schwab-two"},
		{Seq: 8, Time: at, Type: event.NeedsLogin, Alert: true, Provider: "schwab", Message: "2 accounts at schwab need a login: schwab-main2, schwab-two"},
	}
	remember(t, filepath.Dir(socket), append(pastEvents(), others...)...)
	got := command(t, "", "logs", "schwab-main", "--since", "2h", "--socket", socket)
	want := "2026-09-14\n" +
		"13:20:00  refreshed          schwab-main v2  token refreshed\n" +
		"13:20:00  delivered          schwab-main → bot v2  sink \"bot\" has version 2\n" +
		"13:30:00  refresh failed     schwab-main  refresh failed (once, alert from the 5th): account schwab-main: broker.example answered HTTP 503\n" +
		"14:10:00  needs login        schwab  2 accounts at schwab need a login: schwab-main, schwab-two\n"
	got.says(t, exitOK, want)
	if got := command(t, "", "logs", "schwab-main", "--since", "2h", "--json", "--socket", socket); strings.Count(got.stdout, "\n") != 4 || strings.Contains(got.stdout, "saxo-live") {
		t.Errorf("as JSON: %+v", got)
	}
	command(t, "", "logs", "schwab-main", "saxo-live", "--socket", socket).says(t, exitUsage, "", `"saxo-live" is one argument too many: tokenkeeper logs [ACCOUNT] [-f] [--since TIME]`)

	out, stop := follow(t, "logs", "schwab-main", "-f", "--since", "15m", "--socket", socket)
	out.until(t, func(s string) bool { return strings.Contains(s, "need a login") })
	bus.Publish(0, event.Event{Time: now, Type: event.Refreshed, Account: "saxo-live", Message: "another one's"})
	publishUntil(t, bus, out, event.Event{Time: now, Type: event.Refreshed, Account: "schwab-main", Message: "token refreshed once more"})
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if s := out.String(); strings.Contains(s, "another one's") || strings.Contains(s, "missed") {
		t.Errorf("got %s", s)
	}
}

// That nothing has happened is said, and told from a history that can't be asked.
func TestNothingHasHappened(t *testing.T) {
	w := newWorld(t, twoAccounts)
	remember(t, w.state, pastEvents()...)
	command(t, "", "logs", "--since", "30s", "-c", w.config).says(t, exitOK, "", "tokenkeeper: nothing has happened since 14:19:30")
	command(t, "", "logs", "saxo-live", "--since", "2h", "-c", w.config).says(t, exitOK, "", "tokenkeeper: nothing has happened to account saxo-live since 12:20:00")
	command(t, "", "events", "--no-follow", "--since", "30s", "--json", "-c", w.config).says(t, exitOK, "")
}

// A pause and its end without a supervisor are in the history, and explain names them.
func TestPauseWithoutASupervisorIsToldLater(t *testing.T) {
	w := newWorld(t, twoAccounts)
	remember(t, w.state, pastEvents()...)
	explained := func() string { return command(t, "", "explain", "schwab-main", "-c", w.config).stdout }
	if got := command(t, "", "pause", "schwab-main", "--reason", "the broker moves", "-c", w.config); got.code != exitOK || got.stderr != "" {
		t.Errorf("pause: %+v", got)
	}
	if said := explained(); !strings.Contains(said, "No supervisor has been running since 14:19:00") || !strings.Contains(said, "(the broker moves)") ||
		!strings.HasSuffix(said, "it is paused then, too: tokenkeeper resume schwab-main\n") {
		t.Errorf("explained:\n%s", said)
	}
	if got := command(t, "", "resume", "schwab-main", "-c", w.config); got.code != exitOK || got.stderr != "" {
		t.Errorf("resume: %+v", got)
	}
	got := command(t, "", "logs", "-c", w.config)
	for _, want := range []string{
		"14:20:00  paused             schwab-main  paused since 2026-09-14 14:20 UTC by user ", "(the broker moves)",
		"14:20:00  resumed            schwab-main  resumed by user ", "; no supervisor was running\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if said := explained(); strings.HasSuffix(said, "tokenkeeper resume schwab-main\n") || !strings.Contains(said, "That was over at 14:20:00.") {
		t.Errorf("explained after that:\n%s", said)
	}
}

func TestBefore(t *testing.T) {
	zone := time.FixedZone("", 3600)
	at := time.Date(2026, 11, 30, 9, 30, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-11-29T23:00:00Z": time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC),
		"2026-11-29 14:05":     time.Date(2026, 11, 29, 14, 5, 0, 0, zone),
		"2026-11-29 14:05:09":  time.Date(2026, 11, 29, 14, 5, 9, 0, zone),
		"2026-11-29":           time.Date(2026, 11, 29, 0, 0, 0, 0, zone),
		"08:00":                time.Date(2026, 11, 30, 8, 0, 0, 0, zone),
		"10:00":                time.Date(2026, 11, 29, 10, 0, 0, 0, zone),
		"23:59:59":             time.Date(2026, 11, 29, 23, 59, 59, 0, zone),
		"2h":                   at.Add(-2 * time.Hour), "-2h": at.Add(-2 * time.Hour), "3d": at.AddDate(0, 0, -3), "90m": at.Add(-90 * time.Minute),
	} {
		if got, err := before("--at", text, at); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "now", "25:00", "--2h", "-1d2", "2026-13-01"} {
		if got, err := before("--at", bad, at); err == nil {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

// A reader of the control socket, whose configuration names that and nothing else, is told
// that the history is none of his, and not that nothing has happened. Whoever may know where
// it is gets it, whatever his configuration says.
func TestPastByASocketAlone(t *testing.T) {
	s := sampleStatus()
	s.StateDir = t.TempDir()
	socket, _, _ := serve(t, &fake{status: func() control.Status { return s }})
	remember(t, s.StateDir, pastEvents()...)
	path := filepath.Join(t.TempDir(), "tk.yaml")
	write(t, path, fmt.Sprintf("state_dir: %s\ncontrol: {socket: %q}\n", t.TempDir(), socket))
	for _, args := range []string{"logs", "explain schwab-main"} {
		if got := command(t, "", append(strings.Fields(args), "-c", path)...); got.code != exitOK || strings.Contains(got.stdout+got.stderr, "there is no history") || got.stdout == "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
	s.StateDir = ""
	for _, args := range []string{"logs", "explain schwab-main", "events --since 2h --no-follow"} {
		command(t, "", append(strings.Fields(args), "-c", path)...).says(t, exitFailure, "", "tokenkeeper: the history is for root and the user who runs the supervisor")
	}
}
