package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// load fails the test on any problem.
func load(t *testing.T, src config.Source) (*config.Config, []config.Warning) {
	t.Helper()
	cfg, warnings, err := config.Load(src)
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	return cfg, warnings
}

func TestLoad(t *testing.T) {
	src := source(t, `
state_dir: state
fallback_dir: other
providers:
  saxo: {settings: {environment: sim, retries: 3, strict: true}, max_in_flight: 2}
  other: {command: [./bin/other, -v], sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
accounts:
  schwab-main:
    provider: schwab
    client_id: 12345
    client_secret: "p$$w ${env:TAIL} $${x}"
    redirect_url: https://127.0.0.1:8182
    scopes: [readonly, trade]
  saxo-live:
    provider: saxo
    settings: {environment: live}
    client_id: ${env:KEY}
    refresh: {before_expiry: 50s, every: 20m, max_failures: 7, timeout: 20s}
  third: {provider: other, client_id: x, refresh: {jitter: 0s}}
sinks:
  bot:   {type: unixsocket, path: /run/bot/token.sock, accounts: [schwab-main], include_refresh_token: true}
  cache: {type: file, path: "out/{provider}-{account}.json", format: saxo-cache, mode: 0640, owner: ":bots", timezone: UTC}
  hook:  {type: webhook, url: "https://bots.example/token", secret: "whsec_${env:HOOK}", headers: {X-A: b}}
`, "TAIL=end", "KEY=saxo-key", "HOOK=MTIz")
	src.KnownProviders = builtIn
	cfg, warnings := load(t, src)
	dir := src.Dir
	want := &config.Config{
		StateDir: filepath.Join(dir, "state"), FallbackDir: filepath.Join(dir, "other"), MachineGuard: "auto", Reload: config.ReloadManual,
		FixedReferences: []string{"${env:HOOK}", "${env:KEY}", "${env:TAIL}"},
		Control:         config.Control{Socket: filepath.Join(dir, "state/control.sock")},
		Log:             config.Log{Level: "info", Format: "text", Keep: 5},
		Plugins:         config.Plugins{Dir: "/usr/local/lib/tokenkeeper/plugins"},
		Alerts:          config.Alerts{Repeat: 4 * time.Hour, LoginDue: 24 * time.Hour},
		Providers: map[string]config.Provider{
			"schwab": {Name: "schwab", MaxInFlight: 4},
			"saxo": {Name: "saxo", MaxInFlight: 2,
				Settings: map[string]string{"environment": "sim", "retries": "3", "strict": "true"}},
			"other": {Name: "other", MaxInFlight: 4, Command: []string{filepath.Join(dir, "bin/other"), "-v"},
				SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Settings: map[string]string{}},
		},
		Accounts: map[string]config.Account{
			"schwab-main": {Name: "schwab-main", Provider: "schwab", ClientID: "12345",
				ClientSecret: sdk.NewSecret("p$$w end ${x}"), RedirectURL: "https://127.0.0.1:8182",
				Scopes: []string{"readonly", "trade"}, Settings: map[string]string{},
				Refresh: config.Refresh{Jitter: 10 * time.Second, MaxFailures: 5, Timeout: 30 * time.Second}},
			"saxo-live": {Name: "saxo-live", Provider: "saxo", ClientID: "saxo-key",
				Settings: map[string]string{"environment": "live", "retries": "3", "strict": "true"},
				Refresh: config.Refresh{BeforeExpiry: 50 * time.Second, Every: 20 * time.Minute, Jitter: 5 * time.Second,
					MaxFailures: 7, Timeout: 20 * time.Second}},
			"third": {Name: "third", Provider: "other", ClientID: "x", Settings: map[string]string{},
				Refresh: config.Refresh{MaxFailures: 5, Timeout: 30 * time.Second}},
		},
		Sinks: map[string]config.Sink{
			"bot": {Name: "bot", Type: "unixsocket", Accounts: []string{"schwab-main"}, IncludeRefreshToken: true,
				Events: []string{config.SendToken}, Content: config.Content{Format: "message"}, MaxConcurrent: 4,
				Destination: &unixsocket.Settings{Path: "/run/bot/token.sock", Ack: "ok", Timeout: 5 * time.Second,
					Attempts: 3, Interval: 5 * time.Second, MaxBytes: 4096}},
			"cache": {Name: "cache", Type: "file", Events: []string{config.SendToken}, MaxConcurrent: 4,
				Content: config.Content{Format: "saxo-cache", Timezone: "UTC"},
				Destination: &file.Settings{Path: filepath.Join(dir, "out/{provider}-{account}.json"),
					Mode: 0o640, Owner: ":bots"}},
			"hook": {Name: "hook", Type: "webhook", Events: []string{config.SendToken}, MaxConcurrent: 4,
				Destination: &webhook.Config{URL: "https://bots.example/token", Secret: sdk.NewSecret("whsec_MTIz"),
					Headers: map[string]sdk.Secret{"X-A": sdk.NewSecret("b")}, Timeout: 10 * time.Second}},
		},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	if got := names(cfg.SinkAccounts(cfg.Sinks["bot"])); !reflect.DeepEqual(got, []string{"schwab-main"}) {
		t.Errorf("accounts of the sink bot: %v", got)
	}
	if got := names(cfg.SinkAccounts(cfg.Sinks["hook"])); !reflect.DeepEqual(got, []string{"saxo-live", "schwab-main", "third"}) {
		t.Errorf("accounts of a sink that names none: %v", got)
	}
	if got := cfg.ProviderNames(); !reflect.DeepEqual(got, []string{"other", "saxo", "schwab"}) {
		t.Errorf("providers: %v", got)
	}
	if got := cfg.Provider("saxo"); !reflect.DeepEqual(got, cfg.Providers["saxo"]) {
		t.Errorf("a provider that is listed: %+v", got)
	}
	if got := cfg.Provider("none"); !reflect.DeepEqual(got, config.Provider{Name: "none", MaxInFlight: 4}) {
		t.Errorf("a provider that is not listed: %+v", got)
	}
	if got := names(cfg.AccountsOf("saxo")); !reflect.DeepEqual(got, []string{"saxo-live"}) {
		t.Errorf("accounts of saxo: %v", got)
	}
}

func names(accounts []config.Account) (all []string) {
	for _, a := range accounts {
		all = append(all, a.Name)
	}
	return all
}

func TestLaterLayerWins(t *testing.T) {
	src := source(t, `
log: {level: warn, format: json}
accounts:
  schwab-main: {provider: schwab, client_id: "${env:NOT_SET}", scopes: [a], settings: {token_url: u}, refresh: {timeout: 10s}}
`,
		"TOKENKEEPER_LOG__LEVEL=debug",
		"TOKENKEEPER_ACCOUNTS__SCHWAB_MAIN__CLIENT_ID=from-env", // what it hides is not resolved
		"TOKENKEEPER_ACCOUNTS__SCHWAB_MAIN__CLIENT_SECRET=${env:S}", "S=secret",
		"TOKENKEEPER_ACCOUNTS__SCHWAB_MAIN__SCOPES=b, c",
		"TOKENKEEPER_ACCOUNTS__SCHWAB_MAIN__SETTINGS__TOKEN_URL=v",
		"TOKENKEEPER_ACCOUNTS__SCHWAB_MAIN__REFRESH__TIMEOUT=20s",
		"TOKENKEEPER_ACCOUNTS__NEW__PROVIDER=saxo", "TOKENKEEPER_ACCOUNTS__NEW__CLIENT_ID=n",
		"TOKENKEEPER_SPOOL_DIR=/s", "TOKENKEEPER_SPOOL_SLOTS=x", "TOKENKEEPER_LIFELINE_FD=3", "TOKENKEEPER_LOCKS_FD=4", "TOKENKEEPER_HAND_OVER=60", "TOKENKEEPER_SPOOL_FALLBACK=/f", "TOKENKEEPER_PLUGIN=c", "TOKENKEEPER_CONFIG=/f", "TOKENKEEPER_ACCESS_TOKEN=a", "TOKENKEEPER_ACCESS_TOKEN_A__B=a",
		"TOKENKEEPER_SINKS__HOOK__TYPE=webhook", "TOKENKEEPER_SINKS__HOOK__URL=https://h", "TOKENKEEPER_SINKS__HOOK__SECRET=MTIz",
		"TOKENKEEPER_SINKS__HOOK__HEADERS__X_API_KEY=k",
	)
	src.Flags = map[string]string{"accounts.schwab-main.refresh.timeout": "40s", "state_dir": "here"}
	cfg, warnings := load(t, src)
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	cwd, err := filepath.Abs("here")
	if err != nil {
		t.Fatal(err)
	}
	a := cfg.Accounts["schwab-main"]
	for _, tt := range []struct{ what, got, want string }{
		{"environment over YAML", cfg.Log.Level, "debug"},
		{"YAML over default", cfg.Log.Format, "json"},
		{"flag over environment", a.Refresh.Timeout.String(), "40s"},
		{"client_id", a.ClientID, "from-env"},
		{"client_secret", a.ClientSecret.Reveal(), "secret"},
		{"one setting", a.Settings["token_url"], "v"},
		{"a new account", cfg.Accounts["new"].Provider, "saxo"},
		{"default of a new account", cfg.Accounts["new"].Refresh.Timeout.String(), "30s"},
		{"default of a new sink", cfg.Sinks["hook"].Destination.(*webhook.Config).Timeout.String(), "10s"},
		{"a header", cfg.Sinks["hook"].Destination.(*webhook.Config).Headers["X-Api-Key"].Reveal(), "k"},
		{"a path in a flag", cfg.StateDir, cwd},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	if !reflect.DeepEqual(a.Scopes, []string{"b", "c"}) {
		t.Errorf("scopes: %v", a.Scopes)
	}
}

func TestLoadIsFresh(t *testing.T) {
	first, _ := load(t, source(t, account+"log: {level: debug}\n"))
	second, _ := load(t, source(t, account))
	if first.Log.Level != "debug" || second.Log.Level != "info" {
		t.Errorf("levels %q and %q: a load must not remember another", first.Log.Level, second.Log.Level)
	}
}

func TestAliases(t *testing.T) {
	cfg, _ := load(t, source(t, `
accounts:
  a: {provider: schwab, client_id: id, refresh: &often {every: 1m}}
  b: {provider: schwab, client_id: id, refresh: *often}
`))
	if got := cfg.Accounts["b"].Refresh.Every; got != time.Minute {
		t.Errorf("every = %v, want 1m", got)
	}
}

// TestOverrideOfOneMember: members may be written once and named again, and each is
// an account or a sink of its own all the same.
func TestOverrideOfOneMember(t *testing.T) {
	src := source(t, `
accounts:
  a: &one {provider: schwab, client_id: id, settings: {token_url: u}, refresh: {every: 1m, timeout: 10s}}
  b: *one
sinks:
  s: &hook {type: webhook, url: "https://h", secret: MTIz, headers: {X-A: a, X-B: b}}
  t: *hook
`, "TOKENKEEPER_ACCOUNTS__B__SETTINGS__TOKEN_URL=v", "TOKENKEEPER_SINKS__T__HEADERS__X_A=c")
	src.Flags = map[string]string{"accounts.b.refresh.timeout": "20s", "sinks.t.timeout": "3s"}
	cfg, _ := load(t, src)
	for _, tt := range []struct {
		account, setting string
		refresh          config.Refresh
	}{
		{"a", "u", config.Refresh{Every: time.Minute, Jitter: 6 * time.Second, MaxFailures: 5, Timeout: 10 * time.Second}},
		{"b", "v", config.Refresh{Every: time.Minute, Jitter: 6 * time.Second, MaxFailures: 5, Timeout: 20 * time.Second}},
	} {
		a := cfg.Accounts[tt.account]
		if a.Refresh != tt.refresh || a.Settings["token_url"] != tt.setting || a.ClientID != "id" {
			t.Errorf("account %s: %+v", tt.account, a)
		}
	}
	for name, want := range map[string][]string{"s": {"a", "b", "10s"}, "t": {"c", "b", "3s"}} {
		hook := cfg.Sinks[name].Destination.(*webhook.Config)
		if got := []string{hook.Headers["X-A"].Reveal(), hook.Headers["X-B"].Reveal(), hook.Timeout.String()}; !reflect.DeepEqual(got, want) {
			t.Errorf("sink %s has %v, want %v", name, got, want)
		}
	}
}

func TestKnownProvidersAreSoughtInThePluginDirectory(t *testing.T) {
	src := source(t, "plugins: {dir: brokers}\naccounts:\n  a: {provider: mine, client_id: id}\n")
	src.KnownProviders = func(dir string) []string {
		if dir == filepath.Join(src.Dir, "brokers") {
			return []string{"mine"}
		}
		return nil
	}
	load(t, src)
}

// TestNamesAlone: who needs but the names has no secret read; that others could read
// it would be warned of.
func TestNamesAlone(t *testing.T) {
	src := source(t, "providers:\n  saxo: {settings: {proxy: \"${file:secret}\"}}\naccounts:\n"+
		"  a: {provider: saxo, client_id: \"${file:secret}\", client_secret: \"${file:secret}\", settings: {x: \"${file:gone}\"}}\n"+
		"sinks:\n  h: {type: webhook, url: \"${file:secret}\", secret: whsec_MTIz}\n")
	if err := os.WriteFile(filepath.Join(src.Dir, "secret"), []byte("https://canary"), 0o644); err != nil {
		t.Fatal(err)
	}
	src.NamesOnly = true
	cfg, warnings := load(t, src)
	a := cfg.Accounts["a"]
	if len(warnings) != 0 || a.ClientID != "" || !a.ClientSecret.IsZero() || len(a.Settings) != 0 || len(cfg.Providers["saxo"].Settings) != 0 || cfg.Sinks["h"].Type != "webhook" {
		t.Errorf("%v, %+v, %+v", warnings, a, cfg.Providers)
	}
	src.NamesOnly, src.Secretless = false, true
	if cfg, warnings = load(t, src); len(warnings) == 0 || cfg.Accounts["a"].ClientID == "" {
		t.Errorf("a file that is read is not warned of: %v", warnings)
	}
}
