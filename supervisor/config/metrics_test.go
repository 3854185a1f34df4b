package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func TestMetrics(t *testing.T) {
	if cfg, _ := load(t, source(t, account)); cfg.Metrics != nil {
		t.Errorf("nobody asked for %+v", cfg.Metrics)
	}
	for keys, want := range map[string]config.Metrics{
		`listen: "127.0.0.1:9464"`:                             {Listen: "127.0.0.1:9464"},
		`listen: "localhost:9464"`:                             {Listen: "127.0.0.1:9464"},
		`listen: "[::1]:9464", token: "${env:KEY}"`:            {Listen: "[::1]:9464"},
		`listen: "[::ffff:127.0.0.2]:9464"`:                    {Listen: "[::ffff:127.0.0.2]:9464"},
		`listen: ":9464", insecure: true, token: "${env:KEY}"`: {Listen: ":9464"},
		`listen: "10.0.0.5:9464", tls: {cert_file: ours.pem, key_file: ours.key}, token: "${env:KEY}"`: {
			Listen: "10.0.0.5:9464", CertFile: "ours.pem", KeyFile: "ours.key"},
	} {
		t.Run(keys, func(t *testing.T) {
			src := source(t, account+"metrics: {"+keys+"}\n", "KEY="+longCanary)
			src.StrictFiles = true
			config.KeyPair(t, src.Dir, "ours")
			cfg, warnings := load(t, src)
			if want.CertFile != "" {
				want.CertFile, want.KeyFile = filepath.Join(src.Dir, want.CertFile), filepath.Join(src.Dir, want.KeyFile)
			}
			got := *cfg.Metrics
			if token := got.Token.Reveal(); token != longCanary && strings.Contains(keys, "token") {
				t.Errorf("the token is %q", token)
			}
			if got.Token = want.Token; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if all := fmt.Sprint(warnings, cfg.Metrics); strings.Contains(all, "metrics") || strings.Contains(all, canary) {
				t.Errorf("warnings, or a secret: %s", all)
			}
		})
	}
	cfg, _ := load(t, source(t, account, "TOKENKEEPER_METRICS__LISTEN=127.0.0.1:1"))
	if cfg.Metrics == nil || cfg.Metrics.Listen != "127.0.0.1:1" {
		t.Errorf("by the environment: %+v", cfg.Metrics)
	}
}

const longCanary = canary + "-0123456789"

func TestProblemsOfMetrics(t *testing.T) {
	const (
		clear   = `the names of accounts, and the token, would travel to other machines in clear text; write tls with cert and key, listen on 127.0.0.1, or write insecure: true if something else encrypts what is sent`
		unasked = `whoever reaches this address from another machine could read the names of accounts and how they are; write token: ${file:PATH}, or listen on 127.0.0.1`
		tls     = ", tls: {cert_file: ours.pem, key_file: ours.key}"
		token   = `, token: "${env:KEY}"`
	)
	for name, tt := range map[string]struct{ keys, want string }{
		"no address":         {"insecure: true", "metrics.listen: there is no address to listen on; write listen: 127.0.0.1:9464"},
		"no port":            {"listen: 127.0.0.1", `metrics.listen: "127.0.0.1" is not an address with a port; write an IP address of this machine, like 127.0.0.1:9464 or [::1]:9464`},
		"a name":             {`listen: "example.com:9464"`, `metrics.listen: "example.com:9464" is not an address with a port; write`},
		"any port":           {`listen: "127.0.0.1:0"`, "metrics.listen: with port 0 nobody knows where to ask; choose a port, like 9464"},
		"clear text":         {`listen: "10.0.0.5:9464"` + token, "metrics.listen: " + clear},
		"all addresses":      {`listen: ":9464"` + token, "metrics.listen: " + clear},
		"of IPv4":            {`listen: "0.0.0.0:9464"` + token, "metrics.listen: " + clear},
		"of IPv6":            {`listen: "[::]:9464"` + token, "metrics.listen: " + clear},
		"no token":           {`listen: "10.0.0.5:9464"` + tls, "metrics.listen: " + unasked},
		"no token, insecure": {`listen: "10.0.0.5:9464", insecure: true`, "metrics.listen: " + unasked},
		"an empty token":     {`listen: "127.0.0.1:1", token: ""`, "metrics.token: is empty; write token: ${file:PATH}, or remove the line"},
		"a missing token":    {`listen: "10.0.0.5:1", token: "${env:GONE}"` + tls, "metrics.token: the environment variable GONE is not set; set it for the service, or refer to a file with ${file:PATH}"},
		"a short token":      {`listen: "127.0.0.1:1", token: "` + canary + `"`, "metrics.token: is shorter than 16 characters, and so can be found by trying; make one with: openssl rand -hex 32"},
		"a token of words":   {`listen: "127.0.0.1:1", token: "` + longCanary + ` and more"`, "metrics.token: can't be sent in a header; make one with: openssl rand -hex 32"},
		"half a pair":        {`listen: "127.0.0.1:1", tls: {cert_file: ours.pem}`, "metrics.tls.cert_file: the certificate has no key; write key_file: the file of its private key"},
		"another's key":      {`listen: "127.0.0.1:1", tls: {cert_file: ours.pem, key_file: other.key}`, "metrics.tls.cert_file: the certificate and its key can't be used: private key does not match public key; name a certificate in PEM, and in key_file the private key that belongs to it"},
		"no such file":       {`listen: "127.0.0.1:1", tls: {cert_file: gone.pem, key_file: ours.key}`, "metrics.tls.cert_file: the file can't be read: no such file or directory; name the right file, or remove the line"},
		"an unknown key":     {`listen: "127.0.0.1:1", tokens: x`, `metrics.tokens: unknown key; did you mean "token"?`},
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, account+"metrics: {"+tt.keys+"}\n", "KEY="+longCanary)
			src.StrictFiles = true
			config.KeyPair(t, src.Dir, "ours")
			config.KeyPair(t, src.Dir, "other")
			_, _, err := config.Load(src)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got:\n%v\nwant:\n%s", err, tt.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("a secret: %v", err)
			}
		})
	}
}

// At a start, what may come later keeps nobody's tokens from being refreshed; and who
// needs no secret needs not this one.
func TestMetricsWithoutTheirFiles(t *testing.T) {
	src := source(t, account+"metrics: {listen: \"10.0.0.5:1\", tls: {cert_file: gone.pem, key_file: gone.key}, token: \"${env:KEY}\"}\n", "KEY="+longCanary)
	_, warnings := load(t, src)
	if all := fmt.Sprint(warnings); !strings.Contains(all, "metrics.tls.cert_file: the file can't be read") {
		t.Errorf("%s", all)
	}
	src.Environ = environ("STATE_DIRECTORY=/s")
	src.Secretless = true
	load(t, src)
	src.Secretless, src.NamesOnly = false, true
	load(t, src)
}
