package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// sinkSource is a source with one sink, in one line each.
func sinkSource(t *testing.T, sink string, entries ...string) config.Source {
	t.Helper()
	return source(t, account+"sinks:\n  s: {"+sink+"}\n", entries...)
}

func TestSinksOfOtherTypes(t *testing.T) {
	cfg, warnings := load(t, sinkSource(t, `type: redis, settings: {address: "${env:ADDRESS}", db: 3}, timeout: 3s, restore: false`, "ADDRESS=x:1"))
	p := pluginOf(cfg)
	if len(warnings) > 0 || p == nil || p.Own.Get("address") != "x:1" || p.Own.Get("db") != "3" || p.Timeout != 3*time.Second || p.Restore || len(p.Command) > 0 {
		t.Errorf("got %+v, %v", p, warnings)
	}
	src := sinkSource(t, `type: mine, command: [./bin/mine, -v], sha256: `+strings.Repeat("ab", 32))
	cfg, _ = load(t, src)
	if p := pluginOf(cfg); p == nil || p.Command[0] != filepath.Join(src.Dir, "bin/mine") || p.Command[1] != "-v" || len(p.SHA256) != 64 || p.Timeout != 30*time.Second || !p.Restore {
		t.Errorf("got %+v", p)
	}
	cfg, _ = load(t, sinkSource(t, `type: notify, urls: ["ntfy://a/${env:TOPIC}", "ntfy://b/c,d"]`, "TOPIC=t"))
	if n := cfg.Sinks["s"].Destination.(*notify.Config); n == nil || len(n.URLs) != 2 || n.URLs[0].Reveal() != "ntfy://a/t" || n.URLs[1].Reveal() != "ntfy://b/c,d" || n.Timeout != 10*time.Second {
		t.Errorf("got %+v", n)
	}
	cfg, _ = load(t, sinkSource(t, `type: notify`, "TOKENKEEPER_SINKS__S__URLS=ntfy://a/b,c ${env:OTHER}", "OTHER=ntfy://d/e"))
	if n := cfg.Sinks["s"].Destination.(*notify.Config); len(n.URLs) != 2 || n.URLs[0].Reveal() != "ntfy://a/b,c" || n.URLs[1].Reveal() != "ntfy://d/e" {
		t.Errorf("from the environment: %d addresses", len(n.URLs))
	}
	cfg, _ = load(t, sinkSource(t, `type: file, path: /x/f, signal: {pidfile: /run/p}`))
	if s := cfg.Sinks["s"].Destination.(*file.Settings).Signal; s == nil || *s != (command.SignalConfig{PIDFile: "/run/p", Signal: "HUP"}) {
		t.Errorf("the signal of a file is %+v", s)
	}
	cfg, _ = load(t, sinkSource(t, `type: webhook, url: "https://h", secret: whsec_MTIz, proxy: none`))
	if w := cfg.Sinks["s"].Destination.(*webhook.Config); w.Proxy.Reveal() != "none" {
		t.Errorf("the proxy is %q", w.Proxy.Reveal())
	}
	cfg, _ = load(t, source(t, account+"alerts: {repeat: 0s, login_due: 90m}\n"))
	if cfg.Alerts != (config.Alerts{LoginDue: 90 * time.Minute}) {
		t.Errorf("alerts are %+v", cfg.Alerts)
	}
}

func pluginOf(cfg *config.Config) *plugin.Settings {
	p, _ := plugin.Of(cfg.Sinks["s"])
	return p
}

func TestProblemsOfSinkTypes(t *testing.T) {
	const at = "tokenkeeper.yaml:4:"
	for name, tt := range map[string]struct{ sink, want string }{
		"unknown type": {`type: kafka`,
			at + `13: sinks.s.type: unknown type "kafka": it is not built in (as BUILT-IN are), and there is no tokenkeeper-sink-kafka in /usr/local/lib/tokenkeeper/plugins; put the plugin there, or write its program in sinks.s.command`},
		"near to a plugin":     {`type: reddis`, `; did you mean "redis"?`},
		"no name":              {`type: Redis`, at + `13: sinks.s.type: "Redis" can't be a name; write "redis"`},
		"keys of others":       {`type: redis, url: x`, at + `25: sinks.s.url: unknown key in a sink of type redis; known here: command, format, restore, settings, sha256, template, timeout, timezone`},
		"plugin of a built-in": {`type: file, path: /x, command: [y]`, `sinks.s.command: unknown key in a sink of type file; known here: format, mode, owner, path, signal, template, timezone, trust_folder`},
		"clear text":           {`type: webhook, secret: "${env:HOME}", url: "http://h"`, "sinks.s.url: tokens would travel to another machine in clear text; use https"},
		"empty command":        {`type: mine, command: []`, `sinks.s.command: is empty; write [program, argument, …], or remove the line`},
		"checksum":             {`type: redis, sha256: x`, `sinks.s.sha256: is not a SHA-256 sum; write the 64 hexadecimal digits that sha256sum prints`},
		"time":                 {`type: redis, timeout: 0s`, `sinks.s.timeout: 0s is too small; write at least 1ms`},
		"nobody to tell":       {`type: notify`, at + `3: sinks.s.urls: the sink has no urls; write urls: ["${env:NAME}"], each the address of a service, like ntfy://ntfy.sh/topic`},
		"an empty list":        {`type: notify, urls: []`, `sinks.s.urls: is an empty list; write at least one address, like ntfy://ntfy.sh/topic`},
		"one bad address":      {`type: notify, urls: ["ntfy://a/b", "canary-9c1f"]`, at + `42: sinks.s.urls: item 2: this is no URL; it begins with the name of a service, e.g. ntfy://ntfy.sh/TOPIC; see https://shoutrrr.nickfedor.com/services/overview/`},
		"an empty address":     {`type: notify, urls: [""]`, `sinks.s.urls: item 1: is empty; write an address, or remove it`},
		"a missing variable":   {`type: notify, urls: ["${env:GONE}"]`, at + `28: sinks.s.urls: the environment variable GONE is not set; set it for the service, or refer to a file with ${file:PATH}`},
		"no list":              {`type: notify, urls: x`, `sinks.s.urls: wrong type: this must be a list, not text; put it in brackets: [ … ]`},
		"signal of a file":     {`type: file, path: /x, signal: {signal: HUB}`, "signal.pidfile: the signal has no pidfile; write pidfile: /run/bot.pid\n" + at + `46: sinks.s.signal.signal: unknown signal "HUB"; did you mean "HUP"?`},
		"proxy that is cut":    {`type: webhook, url: "https://h", secret: whsec_MTIz, proxy: "http://u:12#canary-9c1f@h"`, `sinks.s.proxy: is more than the address of a proxy; in a user or a password write / ? # @ as %2F %3F %23 %40`},
		"proxy":                {`type: webhook, url: "https://h", secret: whsec_MTIz, proxy: "u:canary-9c1f@h"`, `sinks.s.proxy: is not the address of a proxy; write it like http://proxy.example:3128 or socks5://127.0.0.1:1080, or none`},
		"header of signature":  {`type: webhook, url: "https://h", secret: whsec_MTIz, headers: {Webhook-Id: x}`, `sinks.s.headers.Webhook-Id: belongs to the signature and can't be set; remove the line`},
		"type of no format":    {`type: webhook, url: "https://h", secret: whsec_MTIz, headers: {content-type: text/x}`, `which is JSON; write a format too, or remove the line`},
		"no media type":        {`type: webhook, url: "https://h", secret: whsec_MTIz, format: raw, headers: {Content-Type: "a b"}`, `sinks.s.headers.Content-Type: is not a media type; write it like application/json`},
		"certificate alone":    {`type: webhook, url: "https://h", secret: whsec_MTIz, cert_file: ours.pem`, `sinks.s.cert_file: the certificate has no key; write key_file: the file of its private key`},
		"key alone":            {`type: webhook, url: "https://h", secret: whsec_MTIz, key_file: ours.key`, `sinks.s.key_file: the key has no certificate; write cert_file: the file of its certificate`},
		"no TLS":               {`type: webhook, url: "http://localhost", secret: whsec_MTIz, ca_file: ours.pem`, `sinks.s.ca_file: has no effect on an address of http; use https, or remove the line`},
		"missing files":        {`type: webhook, url: "https://h", secret: whsec_MTIz, ca_file: gone, cert_file: ours.pem, key_file: gone`, "sinks.s.ca_file: the file can't be read: no such file or directory; name the right file, or remove the line\n" + at + `106: sinks.s.key_file: the file can't be read: no such file or directory; name the right file, or remove the line`},
		"no certificates":      {`type: webhook, url: "https://h", secret: whsec_MTIz, ca_file: text, cert_file: text, key_file: text`, "the file holds no certificate in PEM; name the file of the authority's certificate, which begins with -----BEGIN CERTIFICATE-----\n" + at + `86: sinks.s.cert_file: the certificate and its key can't be used: failed to find any PEM data in certificate input; name a certificate in PEM, and in key_file the private key that belongs to it`},
		"another's key":        {`type: webhook, url: "https://h", secret: whsec_MTIz, cert_file: ours.pem, key_file: other.key`, `sinks.s.cert_file: the certificate and its key can't be used: private key does not match public key; name a certificate in PEM, and in key_file the private key that belongs to it`},
	} {
		t.Run(name, func(t *testing.T) {
			src := sinkSource(t, tt.sink)
			src.StrictFiles = true
			config.KeyPair(t, src.Dir, "ours")
			config.KeyPair(t, src.Dir, "other")
			write(t, filepath.Join(src.Dir, "text"), canary, 0o600)
			_, warnings, err := config.Load(src)
			if err == nil || !strings.HasSuffix(err.Error(), withTypes(tt.want)) {
				t.Fatalf("got:\n%v\nwant:\n%s", err, withTypes(tt.want))
			}
			if strings.Contains(err.Error(), canary) || len(warnings) > 0 {
				t.Errorf("a secret, or warnings: %v, %v", err, warnings)
			}
		})
	}
	for _, line := range []string{"repeat", "login_due"} {
		_, _, err := config.Load(source(t, account+"alerts:\n  "+line+": -1s\n"))
		if err == nil || !strings.HasSuffix(err.Error(), "alerts."+line+": -1s is too small; write at least 0s") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// A certificate that is missing when the service starts is the matter of one
// sink, and of whoever checks the configuration.
func TestCertificatesOfAStart(t *testing.T) {
	src := sinkSource(t, `type: webhook, url: "https://h", secret: whsec_MTIz, ca_file: gone`)
	if _, warnings := load(t, src); len(warnings) != 1 || !strings.Contains(warnings[0].String(), "sinks.s.ca_file: the file can't be read") {
		t.Errorf("warnings: %v", warnings)
	}
	src = sinkSource(t, `type: webhook, url: "https://h", secret: whsec_MTIz, cert_file: ours.pem, key_file: ours.key`)
	src.StrictFiles = true
	config.KeyPair(t, src.Dir, "ours")
	if _, warnings := load(t, src); len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	if err := os.Chmod(filepath.Join(src.Dir, "ours.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, warnings := load(t, src); len(warnings) != 1 || !strings.Contains(warnings[0].String(), "everyone on this machine can read the private key (mode 0644); chmod 600 it") {
		t.Errorf("warnings: %v", warnings)
	}
}

// Secrets that stand in a file which others can read.
func TestWarningsOfSinkTypes(t *testing.T) {
	for sink, want := range map[string]string{
		`type: notify, urls: ["ntfy://a/b"]`:                                                             "sinks.s.urls: a secret in clear text",
		`type: notify, urls: ["ntfy://a/${env:SECRET}"]`:                                                 "",
		`type: redis, settings: {password: x, address: y}`:                                               "sinks.s.settings.password: a secret in clear text",
		`type: redis, settings: {password: "${env:SECRET}"}`:                                             "",
		`type: webhook, url: "http://h", secret: "${env:SECRET}", events: [alert]`:                       "sinks.s.url: alerts will travel in clear text",
		`type: webhook, url: "http://127.0.0.1:1", secret: "${env:SECRET}"`:                              "",
		`type: webhook, url: "http://127.0.0.1:1", secret: "${env:SECRET}", include_refresh_token: true`: "sinks.s.url: any user of this machine may listen on that port",
		`type: webhook, url: "https://h", secret: "${env:SECRET}", proxy: "http://u:p@proxy"`:            "sinks.s.proxy: a secret in clear text",
		`type: webhook, url: "https://h", secret: "${env:SECRET}", proxy: "http://proxy.x:3128"`:         "",
	} {
		file := filepath.Join(t.TempDir(), "tokenkeeper.yaml")
		write(t, file, "accounts:\n  a: {provider: schwab, client_id: id}\nsinks:\n  s: {"+sink+"}\n", 0o644)
		_, warnings := load(t, config.Source{Path: file, Sinks: config.TestSinks, Environ: environ("SECRET=MTIz", "STATE_DIRECTORY=/s")})
		if want == "" && len(warnings) > 0 || want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].String(), want)) {
			t.Errorf("%s: %v, want %q", sink, warnings, want)
		}
	}
}
