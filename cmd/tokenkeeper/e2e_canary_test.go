package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// hostile are a broker's answers that hold secrets, or what looks like them,
// where a careless program would quote it. spent: the answer costs the grant,
// as far as anybody can tell.
func hostile(name, good string) []struct {
	what  string
	fault brokersim.Fault
	login bool
} {
	const secret = canaryWord + "-in-an-answer-0123456789"
	respond := func(status int, contentType, body string) brokersim.Fault {
		return brokersim.Respond(status, contentType, body).For(name)
	}
	withHeader := func(f brokersim.Fault, key, value string) brokersim.Fault {
		f.Answer.Header.Set(key, value)
		return f
	}
	return []struct {
		what  string
		fault brokersim.Fault
		login bool
	}{
		{"html", respond(403, "text/html", "<html><body>"+secret+" "+good+"</body></html>"), false},
		{"html that is called JSON", respond(403, "application/json", "<html>"+secret), false},
		{"content type", respond(500, "text/"+secret, secret), false},
		{"error code", respond(400, "application/json", `{"error": "`+secret+`"}`), false},
		{"error description", respond(400, "application/json", `{"error": "temporarily_unavailable", "error_description": "`+secret+`", "error_uri": "https://`+secret+`"}`), false},
		{"too many requests", withHeader(respond(429, "application/json", secret), "Retry-After", secret), false},
		{"come back later", withHeader(respond(503, "text/plain", secret), "Retry-After", "1"), false},
		{"redirect", withHeader(respond(307, "text/plain", ""), "Location", "https://"+secret+".invalid/"+secret), false},
		{"bad gateway", respond(502, "text/plain", secret), false},
		{"garbage", respond(200, "application/json", "\x00{"+secret), false},
		{"no token", respond(200, "application/json", `{"access_token": "", "refresh_token": "`+secret+`"}`), false},
		{"token type of a wrong kind", brokersim.WithField("token_type", map[string]any{secret: secret}).For(name), false},
		{"odd lifetime", brokersim.WithField("expires_in", secret).For(name), false},
		{"lost before", brokersim.LostAnswer().For(name), false},
		{"refused", respond(400, "application/json", `{"error": "invalid_grant", "error_description": "`+secret+`: `+good+`"}`), true},
		{"refused by the broker's own words", brokersim.InvalidGrant().For(name), true},
		{"client refused", respond(401, "application/json", `{"error": "invalid_client", "error_description": "`+secret+`"}`), false},
		{"cut", brokersim.Cut(0).For(name), true},
		{"lost afterwards", brokersim.LostAnswer().At(brokersim.AfterProcessing).For(name), true},
	}
}

// Nothing that anybody may read holds a secret, whatever goes wrong: neither
// logs nor events, errors, statuses, arguments and environments. Only
// "tokenkeeper token" and the sinks give tokens out, and a sink gives no
// refresh token unless it is told to.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	c := &canaries{}
	const schwabSecret, saxoSecret = "client+secret/" + canaryWord + "-schwab==", "client+secret/" + canaryWord + "-saxo=="
	hookSecret := base64.StdEncoding.EncodeToString([]byte(canaryWord + "-of-the-webhook-sink"))
	c.add("the client secret of schwab", schwabSecret)
	c.add("the client secret of saxo", saxoSecret)
	c.add("the webhook's secret", hookSecret)
	schwab := brokersim.New(brokersim.Config{Dialect: brokersim.Schwab, ClientSecret: schwabSecret})
	saxo := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo, ClientSecret: saxoSecret})
	schwabURL, saxoURL := overheard(t, schwab, c), overheard(t, saxo, c)

	s := newSite(t, "")
	const said = canaryWord + " said the consumer"
	bot := newConsumer(t, s.path("bot.sock"), said, "ERROR "+said, "", "OK")
	receiver := newHook(t,
		func(w http.ResponseWriter) { http.Error(w, said, http.StatusInternalServerError) },
		func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://"+canaryWord+".invalid/")
			w.WriteHeader(307)
		},
		func(w http.ResponseWriter) { w.Header().Set("Retry-After", canaryWord); w.WriteHeader(429) },
	)
	write(t, s.path("secrets.yaml"), fmt.Sprintf("schwab: %q\nsaxo: %q\nhook: %q\nheader: \"Bearer %s\"\n", schwabSecret, saxoSecret, hookSecret, canaryWord+"-of-the-header"))
	secrets := strings.NewReplacer("client_secret: "+schwabSecret, "client_secret: ${file:secrets.yaml#schwab}",
		"client_secret: "+saxoSecret, "client_secret: ${file:secrets.yaml#saxo}")
	s.configure(t, "log: {level: debug, file: tk.log}\nheartbeat: {url: \"http://user:"+canaryWord+"-password@127.0.0.1:1/"+canaryWord+"-of-the-heartbeat\", every: 1s, on_failure: fail}\naccounts:\n"+
		secrets.Replace(accountYAML(schwabAccount, schwab, schwabURL, "before_expiry: 5m")+
			accountYAML(saxoAccount, saxo, saxoURL, "before_expiry: 5m"))+`sinks:
  plain:  {type: file, path: "plain-{account}.json"}
  schwab: {type: file, path: "schwab-{account}.json", format: schwab}
  saxo:   {type: file, path: "saxo-{account}.json", format: saxo-cache}
  lost:   {type: file, path: "none/{account}.json", include_refresh_token: true}
  bot:    {type: unixsocket, path: bot.sock, attempts: 3, interval: 100ms}
  hook:   {type: webhook, url: "`+receiver.url+`/?key=`+canaryWord+`-of-the-address", secret: "${file:secrets.yaml#hook}", headers: {authorization: "${file:secrets.yaml#header}"}, events: [token, alert, lifecycle]}
  teller: {type: exec, command: [/bin/sh, -c, "tee /dev/stderr; exit 1"], include_refresh_token: true}
  phone:  {type: notify, urls: ["ntfy://user:`+canaryWord+`-of-a-service@127.0.0.1:1/topic?scheme=http", "generic://127.0.0.1:1/`+canaryWord+`-in-a-path?disabletls=yes"], timeout: 1s}
`)
	mustHaveEachType(t, string(readFile(t, s.config)))

	logIn := func(sim *brokersim.Server, name, layout string) {
		body := tokenFileOf(t, c.grant(sim.Grant(name)), layout, time.Now())
		out := s.tool(t, string(body), "import", name, "-")
		if out.code != exitOK {
			t.Fatalf("import: %+v", out)
		}
		c.mustNotBeIn(t, "import", out.stdout+out.stderr)
	}
	r := startRun(t, s)
	events := s.followEvents(t)
	logIn(schwab, schwabAccount, format.Schwab)
	logIn(saxo, saxoAccount, format.SaxoCache)
	r.deliveredTo(schwabAccount, "plain", 1)

	for _, broker := range []struct {
		sim          *brokersim.Server
		name, layout string
	}{{schwab, schwabAccount, format.Schwab}, {saxo, saxoAccount, format.SaxoCache}} {
		now, _ := broker.sim.Current(broker.name)
		for _, h := range hostile(broker.name, now.RefreshToken) {
			broker.sim.Inject(h.fault)
			out := s.tool(t, "", "refresh", "--force", broker.name)
			c.mustNotBeIn(t, "refresh, answered with "+h.what, out.stdout+out.stderr)
			if broker.sim.PendingFaults() != 0 {
				t.Fatalf("%s: the fault %s met nobody: %+v", broker.name, h.what, out)
			}
			st := r.until(func(st control.Status) bool { return !account(st, broker.name).InFlight })
			if account(st, broker.name).State == control.AccountNeedsLogin {
				logIn(broker.sim, broker.name, broker.layout)
				continue
			}
			// What is ambiguous is tried again; if the grant is gone, a
			// login ends it.
			if out := s.tool(t, "", "refresh", "--force", broker.name); out.code != exitOK {
				if !h.login {
					t.Errorf("%s after %s: %+v", broker.name, h.what, out)
				}
				c.mustNotBeIn(t, "refresh after "+h.what, out.stdout+out.stderr)
				logIn(broker.sim, broker.name, broker.layout)
			}
		}
		c.looksEverywhere(t, s)
	}
	r.refreshed(schwabAccount)
	r.refreshed(saxoAccount)
	st := r.until(func(control.Status) bool { return true })
	for _, name := range []string{schwabAccount, saxoAccount} {
		for _, sink := range []string{"plain", "schwab", "saxo"} {
			r.deliveredTo(name, sink, account(st, name).Version)
		}
	}
	bot.until("access_token")
	c.looksEverywhere(t, s)
	c.badConfigurations(t, s)
	mustBePrivate(t, s.path("state"))
	r.Stop()

	c.mustNotBeIn(t, "standard error", r.Stderr())
	c.mustNotBeIn(t, "the log file", string(readFile(t, s.path("tk.log"))))
	c.mustNotBeIn(t, "the stream of events", events())
	c.mustNotBeIn(t, "the history", string(readFile(t, s.path("state/history"))))
	c.mustHaveHappened(t, r.Stderr(), events())

	// The sinks hold access tokens, which shows that the search finds what is
	// there, and nothing more.
	handedOut := strings.Join(receiver.received(), "\n")
	for _, m := range bot.received() {
		handedOut += string(m)
	}
	for _, name := range readDir(t, s.dir) {
		if strings.HasSuffix(name, ".json") {
			handedOut += string(readFile(t, s.path(name)))
		}
	}
	leaks := strings.Join(c.in(handedOut), "\n")
	if !strings.Contains(leaks, "an answered access_token") || strings.Contains(leaks, "refresh") || strings.Contains(leaks, "client") || strings.Contains(leaks, "id_token") {
		t.Errorf("sinks without include_refresh_token were given:\n%s", leaks)
	}
}

// deliveredTo waits until one sink of the account has at least that version.
func (r *running) deliveredTo(name, sink string, version uint64) {
	r.t.Helper()
	r.until(func(st control.Status) bool {
		for _, d := range account(st, name).Sinks {
			if d.Sink == sink {
				return d.Version >= version
			}
		}
		return false
	})
}

// looksEverywhere looks where a person looks.
func (c *canaries) looksEverywhere(t *testing.T, s *site) {
	t.Helper()
	for _, args := range [][]string{
		{"status"}, {"status", "--json"}, {"check"}, {"check", "--json"}, {"plugins"}, {"plugins", "--json"}, {"version"},
		{"refresh", "nobody"}, {"token", "nobody"}, {"restart", "nobody"},
		{"sinks"}, {"sinks", "--json"}, {"sinks", "test", "phone"}, {"sinks", "test", "hook"}, {"sinks", "test", "teller"},
		{"sinks", "redeliver", "bot"}, {"sinks", "test", "nobody"}, {"alerts"}, {"alerts", "--json"},
	} {
		out := s.tool(t, "", args...)
		c.mustNotBeIn(t, strings.Join(args, " "), out.stdout+out.stderr)
	}
	c.processesHoldNone(t, s)
	if out := s.tool(t, "", "token", saxoAccount); out.code == exitOK && len(c.in(out.stdout)) == 0 {
		t.Error("tokenkeeper token does not print what the search would find")
	}
}

// badConfigurations have a secret where the mistake is.
func (c *canaries) badConfigurations(t *testing.T, s *site) {
	t.Helper()
	const secret = canaryWord + "-in-a-configuration"
	good := string(readFile(t, s.config))
	one := "accounts:\n  a:\n    provider: schwab\n    client_id: id\n"
	for _, yaml := range []string{
		one + "    client_secret: [[" + secret + "]]\n",
		one + "    client_secret: {key: " + secret + "}\n",
		one + "    client_secrt: " + secret + "\n",
		one + "    client_secret: \"" + secret + "\n",
		one + "    client_secret: " + secret + "\n  " + secret + "\n",
		one + "    client_secret: ${env:" + secret + "\n",
		one + "    client_secret: " + secret + "\n    redirect_url: \"https://user:" + secret + "@host:port/%zz\"\n",
		one + "    client_secret: ${file:secrets.txt}\nsinks:\n  h: {type: webhook, url: \"ftp://user:" + secret + "@host/" + secret + "\", secret: whsec_" + secret + "!}\n",
		one + "    client_secret: ${file:broken.yaml#key}\n",
		one + "    client_secret: " + secret + "\nstate_dir: state\nlog: {level: debug}\nsinks:\n  h: {type: webhook, url: \"https://host/\", secret: \"whsec_" + secret + "!!\"}\n",
	} {
		write(t, s.path("secrets.txt"), secret)
		write(t, s.path("broken.yaml"), "key: ["+secret+"\n"+secret)
		if err := os.WriteFile(s.config, []byte(yaml), 0o644); err != nil { // a warning, too
			t.Fatal(err)
		}
		for _, args := range [][]string{{"check", "--json"}, {"run"}, {"status"}} {
			out := s.tool(t, "", args...)
			if args[0] == "run" && out.code == exitOK {
				t.Errorf("run with\n%s\n: %+v", yaml, out)
			}
			c.mustNotBeIn(t, fmt.Sprintf("%v with\n%s", args, yaml), out.stdout+out.stderr)
		}
	}
	s.configure(t, strings.TrimPrefix(good, "state_dir: state\n"))
	for _, file := range []string{
		secret, `{"access_token": "` + secret, `{"token": {"access_token": "` + secret + `"}, "creation_timestamp": "` + secret + `"}`,
		`{"access_token": "` + secret + `", "token_expiry": "` + secret + `", "app_secret": "` + secret + `"}`, `["` + secret + `"]`,
	} {
		out := s.tool(t, file, "import", "--force", schwabAccount, "-")
		if out.code == exitOK {
			t.Errorf("import took %s", file)
		}
		c.mustNotBeIn(t, "import of "+file, out.stdout+out.stderr)
	}
}

// mustHaveHappened keeps the search from finding nothing because nothing went
// wrong.
func (c *canaries) mustHaveHappened(t *testing.T, log, events string) {
	t.Helper()
	for _, want := range []event.Type{
		event.Refreshed, event.RefreshFailed, event.Ambiguous, event.NeedsLogin, event.Imported, event.Delivered, event.DeliveryFailed,
	} {
		if !strings.Contains(events, `"type":"`+string(want)+`"`) {
			t.Errorf("there was no event %s", want)
		}
	}
	for _, want := range []string{"sink=hook", "sink=bot", "sink=lost", "kind=invalid_client", "kind=rate_limited", "HTTP 403"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q", want)
		}
	}
	if len(c.found) < 20 {
		t.Errorf("only %d secrets were seen", len(c.found))
	}
}
