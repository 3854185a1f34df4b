package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func TestHeartbeat(t *testing.T) {
	if cfg, _ := load(t, source(t, account)); cfg.Heartbeat != nil {
		t.Errorf("nobody asked for %+v", cfg.Heartbeat)
	}
	cfg, warnings := load(t, source(t, account+"heartbeat: {url: \"https://h/${env:KEY}\"}\n", "KEY="+canary))
	h := cfg.Heartbeat
	if h == nil || h.URL.Reveal() != "https://h/"+canary || h.Every != 5*time.Minute || h.OnFailure != config.FailSilent || h.Timeout != 10*time.Second || h.CAFile != "" || !h.Proxy.IsZero() {
		t.Errorf("the defaults are %+v", h)
	}
	if all := fmt.Sprint(warnings); strings.Contains(all, "heartbeat") {
		t.Errorf("warnings: %s", all)
	}
	cfg, _ = load(t, source(t, account+"heartbeat: {every: 1m, on_failure: fail, proxy: none}\n", "TOKENKEEPER_HEARTBEAT__URL=http://localhost:1/x"))
	if h := cfg.Heartbeat; h.URL.Reveal() != "http://localhost:1/x" || h.Every != time.Minute || h.OnFailure != config.FailTold || h.Proxy.Reveal() != config.NoProxy {
		t.Errorf("got %+v", h)
	}
}

func TestHeartbeatByTheEnvironmentAlone(t *testing.T) {
	cfg, _ := load(t, source(t, account, "TOKENKEEPER_HEARTBEAT__URL=http://localhost:1/x"))
	if h := cfg.Heartbeat; h == nil || h.URL.Reveal() != "http://localhost:1/x" || h.Every != 5*time.Minute {
		t.Errorf("got %+v", h)
	}
}

func TestProblemsOfAHeartbeat(t *testing.T) {
	const at = "tokenkeeper.yaml:3:"
	for name, tt := range map[string]struct{ keys, want string }{
		"no url":            {"every: 1m", at + "1: heartbeat.url: the heartbeat has no url; write url: ${env:NAME}, the address that the service has given you"},
		"no address":        {"url: " + canary, at + "18: heartbeat.url: is not an address; write it like https://127.0.0.1:8182"},
		"a missing secret":  {"url: \"${env:GONE}\"", at + "18: heartbeat.url: the environment variable GONE is not set; set it for the service, or refer to a file with ${file:PATH}"},
		"an empty secret":   {"url: \"\"", at + "18: heartbeat.url: is empty; write an address, or remove the line"},
		"too often":         {"url: \"https://h/" + canary + "\", every: 10ms", "heartbeat.every: 10ms is out of bounds; write 1s to 24h"},
		"too rarely":        {"url: \"https://h\", every: 25h", "heartbeat.every: 25h is out of bounds; write 1s to 24h"},
		"a bare number":     {"url: \"https://h\", every: 60", "heartbeat.every: 60 is a bare number where a duration belongs; write 60s for seconds or 60m for minutes"},
		"what else":         {"url: \"https://h\", on_failure: fails", `heartbeat.on_failure: unknown on_failure "fails"; did you mean "fail"?`},
		"no time":           {"url: \"https://h\", timeout: 0s", "heartbeat.timeout: 0s is too small; write at least 1ms"},
		"an authority":      {"url: \"https://h\", ca_file: gone", "heartbeat.ca_file: the file can't be read: no such file or directory; name the right file, or remove the line"},
		"no certificate":    {"url: \"https://h\", ca_file: text", "heartbeat.ca_file: the file holds no certificate in PEM; name the file of the authority's certificate, which begins with -----BEGIN CERTIFICATE-----"},
		"no TLS":            {"url: \"http://localhost/\", ca_file: ours.pem", "heartbeat.ca_file: has no effect on an address of http; use https, or remove the line"},
		"a proxy":           {"url: \"https://h\", proxy: \"u:" + canary + "@h\"", "heartbeat.proxy: is not the address of a proxy; write it like http://proxy.example:3128 or socks5://127.0.0.1:1080, or none"},
		"a key of a sink's": {"url: \"https://h\", headers: {}", "heartbeat.headers: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, account+"heartbeat: {"+tt.keys+"}\n")
			src.StrictFiles = true
			config.KeyPair(t, src.Dir, "ours")
			write(t, filepath.Join(src.Dir, "text"), canary, 0o600)
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

func TestWarningsOfAHeartbeat(t *testing.T) {
	_, warnings := load(t, source(t, account+"heartbeat: {url: \"http://h/"+canary+"\"}\n"))
	if all := fmt.Sprint(warnings); strings.Contains(all, canary) || !strings.Contains(all, "heartbeat.url: the address travels in clear text: who sees it can keep the service believing that all is well; use https") {
		t.Errorf("%s", all)
	}
	src := source(t, "")
	src.Bytes, src.Name = nil, ""
	src.Path = filepath.Join(src.Dir, "tokenkeeper.yaml")
	write(t, src.Path, account+"heartbeat: {url: \"https://h/"+canary+"\"}\n", 0o644)
	_, warnings = load(t, src)
	if all := fmt.Sprint(warnings); !strings.Contains(all, "heartbeat.url: a secret in clear text in a file that everyone on this machine can read") || strings.Contains(all, canary) {
		t.Errorf("%s", all)
	}
}

// Who needs no secret needs none of the heartbeat.
func TestHeartbeatWithoutItsSecret(t *testing.T) {
	src := source(t, account+"heartbeat: {url: \"${env:GONE}\", proxy: \"http://u:${env:GONE}@p\", ca_file: \"${env:GONE}/ca\"}\n")
	src.Secretless = true
	load(t, src)
	src.Secretless, src.NamesOnly = false, true
	load(t, src)
}
