package config

import (
	"strings"
	"testing"
)

// FuzzLoad: no input panics, every problem has a place and one line, and what
// loads is complete.
func FuzzLoad(f *testing.F) {
	f.Add("", "", "")
	f.Add(string(starter), "TOKENKEEPER_LOG__LEVEL=debug", "log.format=json")
	f.Add("accounts: &a\n  a: *a\n", "TOKENKEEPER_ACCOUNTS__A__SETTINGS__X=y", "accounts.a.settings.x.y=z")
	f.Add("accounts:\n  a: {provider: p, settings: {a.b: 1, a: 2, '': 3}}\n? [x]\n: y\n", "TOKENKEEPER___=", ".=")
	f.Add("sinks: {s: {type: webhook, url: '${env:A}', headers: {A: '${file:/dev/null#x}'}, <<: {a: b}}}", "A=$${", "sinks.s.mode=0")
	f.Add("accounts: {a: {client_secret: !x y, scopes: [*z, ~]}}\n---\n...", "TOKENKEEPER_SINKS__S__TYPE=file", "a=b=c")
	f.Add("a\r\r\r\r\r\r\r: {a: {client_secret: !x y, scopes: [h*z, ~]}}\n---\n...", "", "")
	f.Add("a\u0085b\u2028\u2029: [\r\r: {", "", "")
	f.Add("accounts: {a: {provider: p}}\nsinks: {s: {type: notify, urls: ['${env:A}', 'x://y'], events: [alert, token]}, p: {type: other, accounts: ['a*', '[', b], providers: [p], settings: {a: b}}}", "TOKENKEEPER_SINKS__S__URLS=a b", "sinks.p.format=template")
	f.Fuzz(func(t *testing.T, yaml, variable, flag string) {
		key, value, _ := strings.Cut(flag, "=")
		cfg, warnings, err := Load(Source{Sinks: TestSinks,
			Bytes: []byte(yaml), Dir: "/nonexistent",
			Environ:        func() []string { return []string{"STATE_DIRECTORY=/s", variable} },
			Flags:          map[string]string{key: value},
			KnownProviders: func(string) []string { return []string{"p", "schwab"} },
			KnownSinks:     func(string) []string { return []string{"other"} },
		})
		for _, w := range warnings {
			if w.File == "" || w.Message == "" {
				t.Errorf("a warning without a place: %#v", w)
			}
		}
		if err == nil {
			complete(t, cfg)
			return
		}
		problems := err.(Problems)
		if len(problems) == 0 || cfg != nil {
			t.Fatalf("%d problems, and the configuration %v", len(problems), cfg)
		}
		for _, p := range problems {
			if p.File == "" || p.Message == "" || (p.File == "configuration" && p.Line == 0 && p.Key == "" && !strings.HasPrefix(p.Message, "not valid YAML")) {
				t.Errorf("a problem without a place: %#v", p)
			}
		}
	})
}

func complete(t *testing.T, cfg *Config) {
	if cfg.StateDir == "" || cfg.Control.Socket == "" || cfg.Plugins.Dir == "" || len(cfg.Accounts) == 0 {
		t.Errorf("incomplete: %+v", cfg)
	}
	for name, a := range cfg.Accounts {
		if a.Name != name || cfg.Providers[a.Provider].MaxInFlight < 1 || a.Refresh.Timeout < minAttemptTimeout || a.Refresh.MaxFailures < 1 {
			t.Errorf("incomplete: %+v", a)
		}
	}
	for name, s := range cfg.Sinks {
		if s.Name != name || s.Destination == nil || len(cfg.SinkAccounts(s)) == 0 || len(s.Events) == 0 || s.MaxConcurrent < 1 {
			t.Errorf("incomplete: %+v", s)
		}
	}
}
