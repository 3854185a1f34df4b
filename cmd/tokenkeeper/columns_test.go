package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// fitsColumns wants no line that is wider than everybody's terminal, but for what
// can't be broken and has a line of its own; and nothing cut.
func fitsColumns(t *testing.T, text string, whole ...string) {
	t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "└ "))
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > narrow && len(words) > 1 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, w := range whole {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

func TestHelpFitsColumns(t *testing.T) {
	for _, verb := range verbs(t) {
		t.Run(strings.Join(verb, " "), func(t *testing.T) {
			fitsColumns(t, command(t, "", append(verb, "--help")...).stdout, "--config")
		})
	}
}

func TestTablesFitColumns(t *testing.T) {
	long := func(of string) string { return of + strings.Repeat("-and-more", 9) }
	s := sampleStatus()
	s.StateDir = "/" + long("var") + "/state"
	s.Machine = control.Machine{Other: true, Owner: long("this"), Here: long("that")}
	s.Accounts[0].Name, s.Accounts[0].Sinks[0].Sink, s.Accounts[0].LastError = long("account"), long("sink"), "open /"+long("path")+": no such file"
	s.Accounts[1].Name, s.Accounts[1].Sinks[0].Type = strings.Repeat("ä", 30), long("type")
	s.Providers[0].Name, s.Providers[1].Version = long("provider"), long("1.2.3")
	s.Alerts[0].Account = long("account")
	fitsColumns(t, renderStatus(s, now, painter{}, narrow),
		long("account"), long("sink"), "/"+long("path")+":", long("type"), long("provider"), long("1.2.3"), "/"+long("var")+"/state", long("this"))

	var b strings.Builder
	alertTable([]event.Alert{{Type: event.LoginDueSoon, Account: long("account"), Since: now.Add(-26 * time.Hour), Message: "log in: " + long("x")}}, now).render(&b, painter{}, 0, 1)
	sinksTable([]control.Sink{{Name: long("sink"), Type: long("type"), Accounts: []string{"a"}, Summary: sink.Summary{Kinds: []sink.Kind{sink.KindToken, sink.KindAlert}, UpToDate: 1}}}, now).render(&b, painter{}, 0, 1)
	fitsColumns(t, b.String(), long("account"), long("sink"), long("type"))

	r := report{Config: "c.yaml", Trusts: []string{"trusts " + long("who") + ", because the configuration says so, and nobody else at all is trusted here"}}
	r.StateDir = &stateDir{Path: "/s", State: "ready", Machine: control.Machine{Unguarded: "this is a container (/.dockerenv), which has no identity of its own; machine_guard: on asks for it all the same"}}
	r.Accounts = []accountReport{{Name: long("account"), Provider: long("provider"), Way: "refresh", Refresh: "22m before expiry or every 20m", Sinks: []string{long("a"), long("b")}}}
	r.Sinks = []sinkReport{{Name: "file", Type: "file", Accounts: []string{long("account")}, To: "/" + long("path"), Events: []string{"token", "alert", "lifecycle"}}}
	r.Providers = []plugin{{Name: "schwab", Version: "1.0.0", Protocol: 1, SHA256: strings.Repeat("a", 64), Source: "plugin directory", Command: []string{"/" + long("bin"), "-v"}}}
	r.SinkPlugins = []sinkPlugin{{Sink: long("sink"), Type: "vault", Command: []string{"/" + long("bin")}}}
	r.OK = true
	fitsColumns(t, renderReport(r, painter{}, narrow, true), long("account"), long("provider"), "/"+long("path"), long("a")+",", "/"+long("bin"), long("who"))
}

func TestPluginsFitColumnsWithoutNotes(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	p := newTerminal(t)
	run(t.Context(), []string{"plugins"}, strings.NewReader(""), p.File, p.File)
	got := p.text()
	fitsColumns(t, got, "tokenkeeper provider schwab\n")
	if strings.Contains(got, "↓") || !strings.Contains(got, "└ login: redirect; tokens are refreshed\n") {
		t.Errorf("a usual table does not fit:\n%s", got)
	}
	sum := decode[foundPlugins](t, command(t, "", "plugins", "--json").stdout).Plugins[0].SHA256
	if piped := command(t, "", "plugins").stdout; !strings.Contains(piped, " "+sum+" ") || strings.Contains(got, sum) || !strings.Contains(got, sum[:12]+"…") {
		t.Errorf("the checksum %s is not whole in a pipe, or not cut on a terminal:\n%s%s", sum, piped, got)
	}
}

func TestWhatDoesNotFitIsBelow(t *testing.T) {
	long := strings.Repeat("n", 90)
	tab := table{head: []string{"NAME", "TO", "N"}, rows: []row{{cells: cells(long, "a b "+long, "1"), notes: []cell{{"well", plain}}}}}
	var b strings.Builder
	tab.render(&b, painter{}, 0, 1)
	lines := strings.Split(b.String(), "\n")
	want := []string{lines[0], long, "", "  └ to: a b", "    " + long, "  └ well", ""}
	want[2] = lines[2]
	if fmt.Sprint(lines) != fmt.Sprint(want) || strings.Fields(lines[2])[0] != "↓" || !strings.HasSuffix(lines[2], "1") {
		t.Errorf("got\n%s", b.String())
	}
}

// In a pipe a row is one line, so that each field is found in its column, and on a
// terminal what has room there: nothing is folded that need not be.
func TestTablesAreWholeWhereTheyCanBe(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	s := sampleStatus()
	name := "an-account-" + strings.Repeat("with-a-long-name-", 4)
	s.Accounts[1].Name, s.Accounts[1].Sinks[0].Sink = name, "a-sink-"+name
	socket, _, _ := serve(t, &fake{status: func() control.Status { return s }})
	isWhole := func(text string) bool {
		rows := 0
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) > 4 && (fields[0] == name && fields[1] == "valid" || fields[0] == "a-sink-"+name && fields[1] == name && fields[2] == "unixsocket") {
				rows++
			}
		}
		return rows == 2 && !strings.Contains(text, "↓")
	}
	for _, verb := range []string{"status", "sinks", "alerts"} {
		if got := command(t, "", verb, "--socket", socket).stdout; strings.Contains(got, "↓") || verb == "status" && !isWhole(got) {
			t.Errorf("%s in a pipe:\n%s", verb, got)
		}
	}
	for columns, want := range map[int]bool{narrow: false, 240: true} {
		p := newTerminal(t)
		p.resize(t, 24, columns)
		run(t.Context(), []string{"status", "--socket", socket}, strings.NewReader(""), p.File, p.File)
		got := p.text()
		if isWhole(got) != want {
			t.Errorf("on a terminal with %d columns:\n%s", columns, got)
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns && len(strings.Fields(line)) > 1 {
				t.Errorf("%d columns of %d: %s", n, columns, line)
			}
		}
	}
}
