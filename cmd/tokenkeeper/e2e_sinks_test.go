package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// push is a push service of the ntfy kind; every message comes as title and
// body.
func push(t *testing.T) (host string, messages <-chan string) {
	t.Helper()
	c := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c <- r.Header.Get("Title") + "\n" + string(body)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), c
}

// tell waits for a message with that in its title. Some alerts are only seen
// at the next look at everything.
func tell(t *testing.T, messages <-chan string, title string) string {
	t.Helper()
	for late := waittest.Late(t); ; {
		select {
		case m := <-messages:
			if first, _, _ := strings.Cut(m, "\n"); strings.Contains(first, title) {
				return m
			}
			t.Logf("also told: %s", m)
		case <-late:
			t.Fatalf("nobody was told %q", title)
		}
	}
}

// sinksUntil waits until holds is true of the sinks, by name.
func (r *running) sinksUntil(holds func(map[string]control.Sink) bool) map[string]control.Sink {
	r.t.Helper()
	var last map[string]control.Sink
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for late := waittest.Late(r.t, r.steps); ; {
		got, err := r.Client.Sinks(context.Background())
		if err != nil {
			r.t.Fatal(err)
		}
		last = map[string]control.Sink{}
		for _, s := range got.Sinks {
			last[s.Name] = s
		}
		if holds(last) {
			return last
		}
		select {
		case <-look.C:
		case <-late:
			r.t.Fatalf("it never came to that; the sinks: %+v", last)
		}
	}
}

// startSinks runs a supervisor with a sink of each behaviour: one that works,
// one whose consumer is not running, one for people, and a plugin.
func startSinks(t *testing.T) (r *running, s *site, schwab *brokersim.Server, messages <-chan string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	schwab, saxo := startBrokers(t, time.Hour)
	host, messages := push(t)
	s = newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m")+fmt.Sprintf(`  bot: {type: unixsocket, path: bot.sock, accounts: [%s]}
  phone: {type: notify, urls: ["ntfy://me:phone-password@%s/topic?scheme=http"]}
  vault: {type: checked, settings: {address: x}, command: [%q, %s]}
`, schwabAccount, host, exe, sinkForTests))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	r = startRun(t, s)
	r.sinksUntil(func(sinks map[string]control.Sink) bool {
		return sinks["files"].UpToDate == 1 && sinks["bot"].Absent && sinks["vault"].UpToDate == 1
	})
	return r, s, schwab, messages
}

func TestSinksAreShown(t *testing.T) {
	t.Parallel()
	r, s, _, _ := startSinks(t)
	sinks := map[string]control.Sink{}
	for _, k := range decode[control.Sinks](t, s.tool(t, "", "sinks", "--json").stdout).Sinks {
		sinks[k.Name] = k
	}
	if k := sinks["files"]; k.Type != "file" || len(k.Accounts) != 2 || k.UpToDate != 1 || k.Behind != 0 || k.Deliveries != 1 || k.Latency <= 0 || k.Process != nil {
		t.Errorf("files: %+v", k)
	}
	if k := sinks["bot"]; !k.Absent || k.Behind != 1 || k.Lag <= 0 || k.Failing != 0 {
		t.Errorf("bot: %+v", k)
	}
	if k := sinks["phone"]; len(k.Kinds) != 1 || k.Kinds[0] != "alert" || len(k.Accounts) != 0 {
		t.Errorf("phone: %+v", k)
	}
	if p := sinks["vault"].Process; p == nil || p.State != control.ProviderRunning || p.PID == 0 || p.Version != "1.2" {
		t.Errorf("vault: %+v", p)
	}
	text := s.tool(t, "", "sinks").stdout
	for _, want := range []string{"SINK   TYPE        SENDS  ACCOUNTS  UP TO DATE", "\nbot    unixsocket  token  1         0/1 ", "absent\n", "phone  notify      alert  -         -"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	if got := s.tool(t, "", "alerts"); got.stdout != "there are no alerts\n" {
		t.Errorf("alerts: %+v", got)
	}
	// A sink for people has nothing of an account.
	st, err := r.Client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range account(st, schwabAccount).Sinks {
		if d.Sink == "phone" {
			t.Errorf("the status says of a sink that gets no tokens: %+v", d)
		}
	}
	_, err = r.Client.Token(t.Context(), saxoAccount)
	if refused := (*control.Error)(nil); !errors.As(err, &refused) || refused.Code != control.CodeNoToken || refused.Status != http.StatusNotFound {
		t.Errorf("an account without a token: %v", err)
	}
	_, err = r.Client.Token(t.Context(), "schwab-mian")
	if refused := (*control.Error)(nil); !errors.As(err, &refused) || refused.Code != control.CodeNotFound || !strings.Contains(refused.Message, `did you mean "schwab-main"?`) {
		t.Errorf("an account that does not exist: %v", err)
	}
	r.Stop()
	s.awaitGone(t)
}

func TestSinksAreTestedAndRedelivered(t *testing.T) {
	t.Parallel()
	r, s, schwab, messages := startSinks(t)
	if got := s.tool(t, "", "sinks", "test", "files"); got.code != exitOK || !strings.HasPrefix(got.stdout, "files: it works: ") {
		t.Errorf("test files: %+v", got)
	}
	if got := s.tool(t, "", "sinks", "test", "phone"); got.code != exitOK {
		t.Errorf("test phone: %+v", got)
	}
	if m := tell(t, messages, "a test message"); !strings.Contains(m, "Nothing is wrong") || strings.Contains(m, "phone-password") {
		t.Errorf("the test message: %s", m)
	}
	if got := s.tool(t, "", "sinks", "test", "bot"); got.code != exitFailure || !strings.Contains(got.stderr, `sink "bot"`) {
		t.Errorf("test of a sink whose consumer is not running: %+v", got)
	}
	if got := s.tool(t, "", "sinks", "test", "fiels"); got.code != exitFailure || !strings.Contains(got.stderr, `no sink is named "fiels"; did you mean "files"?`) {
		t.Errorf("test of an unknown sink: %+v", got)
	}

	file := s.path(schwabAccount + ".json")
	for _, args := range [][]string{{"files", schwabAccount}, {"files"}} {
		was := fileOf(t, file)
		before := r.sinksUntil(func(map[string]control.Sink) bool { return true })["files"].Deliveries
		got := s.tool(t, "", append([]string{"sinks", "redeliver", "--json"}, args...)...)
		if a := decode[control.RedeliverAnswer](t, got.stdout); a.Deliveries != 1 {
			t.Errorf("redeliver %q: %+v", args, got)
		}
		r.sinksUntil(func(sinks map[string]control.Sink) bool { return sinks["files"].Deliveries == before+1 })
		if os.SameFile(was, fileOf(t, file)) {
			t.Errorf("redeliver %q: the file is the one that was there before", args)
		}
		s.mustHold(t, schwab, schwabAccount)
	}
	for args, want := range map[string]string{
		"files " + saxoAccount: "nothing of",
		"files nobody":         "no account is named",
		"bot " + saxoAccount:   `account "saxo-sim" does not go to sink "bot"; these do: schwab-main`,
		"phone schwab-main":    `sink "phone" gets no tokens`,
		"nope":                 "no sink is named",
	} {
		if got := s.tool(t, "", append([]string{"sinks", "redeliver"}, strings.Fields(args)...)...); got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("redeliver %s: %+v, want %q", args, got, want)
		}
	}
	r.Stop()
	s.awaitGone(t)
}

func TestSinksAreDisabledAndRestarted(t *testing.T) {
	t.Parallel()
	r, s, schwab, _ := startSinks(t)
	if got := s.tool(t, "", "sinks", "disable", "files"); got.code != exitOK || !strings.Contains(got.stdout, "or a restart of the supervisor") {
		t.Errorf("disable: %+v", got)
	}
	if got := s.tool(t, "", "refresh", schwabAccount, "--force"); got.code != exitOK {
		t.Fatalf("refresh: %+v", got)
	}
	sinks := r.sinksUntil(func(sinks map[string]control.Sink) bool { return sinks["vault"].Deliveries == 2 })
	if k := sinks["files"]; k.Disabled == nil || k.Disabled.By != "a person" || k.Disabled.Since.IsZero() || k.UpToDate != 0 || k.Behind != 1 || k.Deliveries != 1 {
		t.Errorf("the sink that is disabled: %+v", k)
	}
	if got := decodeFile[tokenFile](t, s.path(schwabAccount+".json")); got.Version != 1 {
		t.Errorf("a sink that is disabled has version %d", got.Version)
	}
	if got := s.tool(t, "", "sinks", "redeliver", "files"); got.code != exitFailure || !strings.Contains(got.stderr, "tokenkeeper sinks enable files") {
		t.Errorf("redeliver: %+v", got)
	}
	if got := s.tool(t, "", "sinks"); !strings.Contains(got.stdout, "disabled by a person ") {
		t.Errorf("sinks: %+v", got)
	}
	if got := s.tool(t, "", "sinks", "enable", "files"); got.code != exitOK {
		t.Errorf("enable: %+v", got)
	}
	r.sinksUntil(func(sinks map[string]control.Sink) bool {
		return sinks["files"].UpToDate == 1 && sinks["files"].Disabled == nil
	})
	s.mustHold(t, schwab, schwabAccount)

	old := sinks["vault"].Process.PID
	got := decode[control.SinkRestartAnswer](t, s.tool(t, "", "sinks", "restart", "vault", "--json").stdout)
	if got.OldPID != old || got.PID == 0 || got.PID == old || got.Generation != 2 {
		t.Errorf("restart: %+v, the process was %d", got, old)
	}
	if got := s.tool(t, "", "restart", "vault"); got.code != exitFailure || !strings.Contains(got.stderr, "tokenkeeper sinks restart vault") {
		t.Errorf("restart of a sink as if it were a provider: %+v", got)
	}
	if got := s.tool(t, "", "restart", "nope"); got.code != exitFailure || !strings.Contains(got.stderr, `no account uses a provider named "nope"; there are: saxo, schwab`) {
		t.Errorf("restart of no provider: %+v", got)
	}
	if got := s.tool(t, "{}", "import", saxoAccount, "-"); got.code != exitFailure || !strings.Contains(got.stderr, "--format: "+strings.Join(format.ReadNames(), ", ")+"\n") {
		t.Errorf("import of no token file: %+v", got)
	}
	if got := s.tool(t, "", "sinks", "restart", "files"); got.code != exitFailure || !strings.Contains(got.stderr, `sink "files" has no process: its type file is built in`) {
		t.Errorf("restart of a sink that is built in: %+v", got)
	}
	r.Stop()
	s.awaitGone(t)
}

// An alert goes from the broker's refusal to the phone and back.
func TestAlertsAreShownAndTold(t *testing.T) {
	t.Parallel()
	r, s, schwab, messages := startSinks(t)
	schwab.Revoke(schwabAccount)
	if got := s.tool(t, "", "refresh", schwabAccount, "--force"); got.code == exitOK {
		t.Fatalf("a refresh with a grant that the broker has ended: %+v", got)
	}
	if m := tell(t, messages, schwabAccount+" needs a login"); !strings.Contains(m, "tokenkeeper login "+schwabAccount) || strings.Contains(m, "phone-password") {
		t.Errorf("told: %s", m)
	}
	r.until(func(st control.Status) bool { return len(st.Alerts) == 1 })
	open := decode[control.Alerts](t, s.tool(t, "", "alerts", "--json").stdout).Alerts
	if len(open) != 1 || open[0].Type != event.NeedsLogin || open[0].Account != schwabAccount || open[0].Since.IsZero() {
		t.Errorf("alerts: %+v", open)
	}
	if got := s.tool(t, "", "alerts"); !strings.Contains(got.stdout, "\nneeds_login:schwab  "+schwabAccount) {
		t.Errorf("alerts: %+v", got)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "\n1 alert: needs login "+schwabAccount+`; see "tokenkeeper alerts"`) {
		t.Errorf("status: %+v", got)
	}
	if got := metricsOf(t, s); !strings.Contains(got, `tokenkeeper_alerts_open{type="needs_login"} 1`) || !strings.Contains(got, `tokenkeeper_sink_up_to_date_accounts{sink="files",type="file"} 1`) {
		t.Errorf("metrics:\n%s", got)
	}

	for _, line := range []string{"ack needs_login:schwab", "silence needs_login:schwab --for 2h"} {
		if got := s.tool(t, "", append([]string{"alerts"}, strings.Fields(line)...)...); got.code != exitOK || !strings.Contains(got.stdout, "its end is told") {
			t.Errorf("alerts %s: %+v", line, got)
		}
	}
	if got := s.tool(t, "", "alerts"); !strings.Contains(got.stdout, "  silenced\n") || !strings.Contains(got.stdout, "silenced until ") {
		t.Errorf("alerts: %+v", got)
	}
	if got := s.tool(t, "", "alerts", "ack", "needs_login:schwap"); got.code != exitFailure || !strings.Contains(got.stderr, `no alert "needs_login:schwap" is open; did you mean "needs_login:schwab"?`) {
		t.Errorf("ack of no alert: %+v", got)
	}

	file := tokenFileOf(t, schwab.Grant(schwabAccount), format.Schwab, time.Now())
	if got := s.tool(t, string(file), "import", schwabAccount, "-", "--force"); got.code != exitOK {
		t.Fatalf("import: %+v", got)
	}
	tell(t, messages, schwabAccount+" is logged in again")
	r.until(func(st control.Status) bool { return len(st.Alerts) == 0 })
	if got := s.tool(t, "", "alerts"); got.stdout != "there are no alerts\n" {
		t.Errorf("alerts: %+v", got)
	}
	if strings.Contains(r.Stderr(), "phone-password") {
		t.Error("the log tells the URL's password")
	}
	r.Stop()
	s.awaitGone(t)
}

// metricsOf reads the metrics as a scraper does.
func metricsOf(t *testing.T, s *site) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.path("state/control.sock"))
		},
	}}
	resp, err := client.Get("http://localhost/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
