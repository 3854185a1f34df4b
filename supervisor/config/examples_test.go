package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

const examplesDir = "../../configs"

// saxoCache is what the bots' file may hold.
const saxoCache = `{"access_token": "A", "refresh_token": "R", "token_expiry": "2026-07-01T14:29:00.654321",
  "app_key": "the key", "app_secret": "the secret"}`

// exampleSource is an example with everything that it refers to.
func exampleSource(t *testing.T, name string, data []byte) Source {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"schwab.yaml": "app_key: key\napp_secret: secret\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certs := filepath.Join(dir, "certs")
	if err := os.Mkdir(certs, 0o700); err != nil {
		t.Fatal(err)
	}
	KeyPair(t, certs, "ours")
	KeyPair(t, certs, "receiver-ca")
	// The bots' own folder, with the files that they have.
	bots := filepath.Join(dir, "bots")
	if err := os.Mkdir(bots, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"saxo_tokens.json", "schwab_py.json"} {
		if err := os.WriteFile(filepath.Join(bots, file), []byte(saxoCache), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data = bytes.ReplaceAll(data, []byte("/var/lib/bots"), []byte(bots))
	return Source{
		Bytes: data, Name: name, Dir: dir,
		Environ: func() []string {
			return []string{"STATE_DIRECTORY=/var/lib/tokenkeeper", "SCHWAB_APP_KEY=key", "SCHWAB_APP_SECRET=secret",
				"SAXO_APP_KEY=key", "SAXO_APP_SECRET=secret", "HOOK_SECRET=whsec_MTIz", "HOOK_TOKEN=token",
				"NTFY_URL=ntfy://ntfy.sh/topic", "SMTP_PASSWORD=password", "HEARTBEAT_URL=https://hc-ping.com/uuid",
				"METRICS_TOKEN=0123456789abcdef"}
		},
		KnownProviders: func(string) []string { return []string{"schwab", "saxo"} },
		KnownSinks:     func(string) []string { return []string{"gcp-secret-manager", "redis"} },
		CheckTemplate:  checkTemplate,
		StrictFiles:    true,
		Sinks:          TestSinks,
	}
}

func checkTemplate(text string, refresh bool) (int, string) {
	err := format.CheckTemplate(text, refresh)
	if wrong := (*format.TemplateError)(nil); errors.As(err, &wrong) {
		return wrong.Line, wrong.Message
	}
	return 0, ""
}

func loadExample(t *testing.T, name string) *Config {
	t.Helper()
	data := starter
	if name != "starter.yaml" {
		var err error
		if data, err = os.ReadFile(filepath.Join(examplesDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := Load(exampleSource(t, name, data))
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	for _, w := range warnings {
		if len(cfg.Sinks) > 0 && !strings.HasPrefix(w.Key, "control.readers.") { // without a sink, one warning says so; the readers are not here
			t.Errorf("a warning: %v", w)
		}
	}
	return cfg
}

// TestEveryExampleLoads includes those that somebody adds.
func TestEveryExampleLoads(t *testing.T) {
	files, err := filepath.Glob(examplesDir + "/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	loadExample(t, "starter.yaml")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { loadExample(t, filepath.Base(file)) })
	}
}

// TestStarterWithEverythingOn loads the starting configuration with all that
// is commented out in it.
func TestStarterWithEverythingOn(t *testing.T) {
	var on []string
	for line := range strings.Lines(string(Reference())) {
		trimmed := strings.TrimLeft(line, " ")
		text, isComment := strings.CutPrefix(trimmed, "# ")
		key, _, hasColon := strings.Cut(strings.TrimLeft(text, " "), ":")
		if isComment && hasColon && !strings.ContainsAny(key, " {") {
			line = line[:len(line)-len(trimmed)] + text
		}
		on = append(on, line)
	}
	cfg, warnings, err := Load(exampleSource(t, "starter.yaml", []byte(strings.Join(on, ""))))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load: %v\n%v\n%s", warnings, err, strings.Join(on, ""))
	}
	if len(cfg.Accounts) != 2 || len(cfg.Sinks) != 4 {
		t.Errorf("%d accounts and %d sinks; want 2 and 4", len(cfg.Accounts), len(cfg.Sinks))
	}
}

// TestReferenceHasEveryKey: the reference leaves nothing out, and the defaults
// that it tells are those that are true.
func TestReferenceHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(examplesDir, "reference.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := open(exampleSource(t, "reference.yaml", data))
	root := &entry{}
	(&document{findings: l.findings}).read(data, l.schema, root)
	var has func(e *entry, key string) bool
	has = func(e *entry, key string) bool {
		if e.under(key).given() {
			return true
		}
		for _, sub := range e.below {
			if has(sub, key) {
				return true
			}
		}
		return false
	}
	for _, path := range leaves(l.schema, root, nil) {
		if len(path) < 3 { // not below a name that the user chooses
			if !root.under(path...).given() {
				t.Errorf("%s is missing", dotted(path))
			}
		} else if !has(root.under(path[0]), path[len(path)-1]) {
			t.Errorf("%s.*.%s is missing", path[0], dotted(path[2:]))
		}
	}
	for _, risky := range []string{"accept_risk", "client_checked_first", "insecure", "trust_folder", "unsafe_filesystem"} {
		if strings.Contains(string(data), risky+": true") {
			t.Errorf("%s is true: whoever copies it takes the risk", risky)
		}
	}
	for _, key := range []string{"providers.saxo.settings.environment", "accounts.schwab-main.settings.token_url", "sinks.hook.headers.Authorization"} {
		if !root.under(strings.Split(key, ".")...).given() {
			t.Errorf("%s is missing", key)
		}
	}
	for _, want := range []string{"Default: info", "Default: text", "Default: 4;", "Default: 10s, but", "Default: 5;",
		"Default: 5m;", "Default: silent", "Default: 30s;", "Default: 30s.", "Default: 10s.", "Default: json", "Default: message", "Default: 4h;", "Default: 24h;",
		"Default: true", "Default: [token], unless the type says otherwise", "Default: 4; 1 to 1024", `Default: "0600"`, "Default: ok", "Default: 5s", "Default: 3 and 5s", "Default: false"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestMigration: the examples say what the old services did.
func TestMigration(t *testing.T) {
	schwab := loadExample(t, "schwab-sender.yaml")
	if r := schwab.Accounts["schwab-main"].Refresh; r.Every != 25*time.Minute || r.MaxFailures != 5 {
		t.Errorf("schwab refreshes as %+v", r)
	}
	bot := schwab.Sinks["bot"]
	// Its type is of a room that imports this one.
	if got, want := fmt.Sprintf("%+v", bot.Destination), "&{Path:/run/bot/token.sock Ack:ok Timeout:5s Attempts:3 Interval:5s MaxBytes:4096 AllowUIDs:[] Listen:<nil>}"; got != want {
		t.Errorf("bot = %s, want %s", got, want)
	}
	file := schwab.Sinks["token-file"]
	if file.Content.Format != "schwab" || !file.IncludeRefreshToken || !bot.IncludeRefreshToken {
		t.Errorf("the bot or its file would lack something: %+v, %+v", file, bot)
	}
	saxo := loadExample(t, "saxo-keeper.yaml")
	if r := saxo.Accounts["saxo-live"].Refresh; r.BeforeExpiry != 300*time.Second || r.MaxFailures != 5 {
		t.Errorf("saxo refreshes as %+v", r)
	}
	account := saxo.Accounts["saxo-live"]
	if s := account.SharedFile; s == nil || s.Format != "saxo-cache" || filepath.Base(s.Path) != "saxo_tokens.json" || s.Lock != s.Path+".lock" {
		t.Errorf("the bots share %+v", s)
	}
	if account.ClientID != "the key" || account.ClientSecret.Reveal() != "the secret" {
		t.Errorf("the client is %q, not the one in the shared file", account.ClientID)
	}
	for name, s := range saxo.Sinks {
		if s.IncludeRefreshToken {
			t.Errorf("the refresh token goes to sink %s, whose bots only read", name)
		}
	}
}

// TestSchwabSenderShared switches the shared file on that is commented out
// there.
func TestSchwabSenderShared(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(examplesDir, "schwab-sender.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(data), "    # shared_file:\n")
	block, _, _ = strings.Cut(block, "\n\n")
	if !found || strings.Count(block, "\n    #   ") != 1 {
		t.Fatalf("no shared file stands in a comment: %q", block)
	}
	text := strings.Replace(string(data), "    # shared_file:\n"+block,
		"    shared_file:\n"+strings.ReplaceAll(block, "    #   ", "      "), 1)
	cfg, warnings, err := Load(exampleSource(t, "schwab-sender.yaml", []byte(text)))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load: %v\n%v", warnings, err)
	}
	if s := cfg.Accounts["schwab-main"].SharedFile; s == nil || s.Format != "schwab-py" || s.Lock != s.Path+".lock" {
		t.Errorf("shared is %+v", s)
	}
}

// TestUnit asks systemd about the unit, and holds it to what the supervisor
// needs of it.
func TestUnit(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(examplesDir, "systemd/tokenkeeper.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Type=notify", "KillMode=control-group", "OOMPolicy=continue", "Restart=always", "RestartSteps=5", "RestartMaxDelaySec=30", "StateDirectory=tokenkeeper", "StateDirectoryMode=0700", "NotifyAccess=main", "FileDescriptorStoreMax=512",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"} {
		if !strings.Contains(string(data), "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	if strings.Contains(string(data), "\nExecStartPre=") {
		t.Error("a command before the main process can fail for ever, and the locks that systemd keeps would stay locked")
	}
	for _, denied := range []string{"\nIPAddressDeny=", "\nSocketBindDeny=", "\nPrivateNetwork="} {
		if strings.Contains(string(data), denied) {
			t.Errorf("%s: brokers could not be reached, or metrics.listen not listen", strings.TrimSpace(denied))
		}
	}
	_, rest, _ := strings.Cut(string(data), "\nTimeoutStopSec=")
	number, _, _ := strings.Cut(rest, "\n")
	stop, err := time.ParseDuration(number + "s")
	attempt := schema(newSinkSchema(TestSinks)).Fields["accounts"].Each.Fields["refresh"].Fields["timeout"].Default.(time.Duration)
	if err != nil || stop != attempt+15*time.Second {
		t.Errorf("TimeoutStopSec is %v (%v), want the %v of a refresh and 15 s", stop, err, attempt)
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the unit is not verified")
	}
	self, err := os.Executable() // stands in for the binary, which must exist
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "tokenkeeper.service")
	data = []byte(strings.ReplaceAll(string(data), "/usr/local/bin/tokenkeeper", self))
	if err := os.WriteFile(unit, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", unit).CombinedOutput()
	// Where systemd is older than that.
	out = regexp.MustCompile(`.*Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)' in section [['"]Service['"\]], ignoring\.\n`).ReplaceAll(out, nil)
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
