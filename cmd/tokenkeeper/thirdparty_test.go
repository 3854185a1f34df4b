package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// login is an account and the broker at which it logs in.
type login struct {
	account, provider, layout string
	broker                    *brokersim.Server
}

// TestThirdPartyProvider adds a broker the way its author does: a binary in
// the plugin directory and an account in the configuration. It runs beside the
// built-in two, and only as long as it is the binary that was pinned.
func TestThirdPartyProvider(t *testing.T) {
	t.Parallel()
	logins := []login{
		{"schwab-main", "schwab", format.Schwab, broker(t, brokersim.Schwab)},
		{"saxo-live", "saxo", format.SaxoCache, broker(t, brokersim.Saxo)},
		// Acme's rules are those of Saxo's server: client credentials in the
		// body, single-use refresh tokens, base_uri in the answer.
		{"acme-main", "acme", format.JSON, broker(t, brokersim.Saxo)},
	}
	s := newSite(t, thirdPartyYAML(logins, ""))
	sum := installAcme(t, s)

	if got := s.tool(t, "", "check"); got.code != exitOK {
		t.Fatalf("check: %+v", got)
	}
	found := decode[foundPlugins](t, s.tool(t, "", "plugins", "--json").stdout).Plugins
	i := slices.IndexFunc(found, func(p plugin) bool { return p.Name == "acme" })
	if i < 0 || len(found) != 3 {
		t.Fatalf("plugins names %+v", found)
	}
	if p := found[i]; p.Version != "0.1.0" || p.SHA256 != sum || p.Protocol != sdk.ProtocolVersion ||
		p.Source != "plugin directory" || !slices.Equal(p.Command, []string{s.path(acmeBinary)}) || !p.Login || p.Error != "" {
		t.Errorf("plugins says of acme: %+v", p)
	}

	r := startRun(t, s)
	for _, l := range logins {
		s.logInEarlier(t, l.broker, l.account, l.layout, time.Hour)
	}
	st := r.until(func(st control.Status) bool { return deliveredAll(st, logins, 2) })
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", provider(st, "acme").PID)); err != nil || program != s.path(acmeBinary) {
		t.Errorf("acme's process runs %q, %v", program, err)
	}
	stop(t, s, r)
	for _, l := range logins {
		delivered(t, s, l)
	}

	t.Run("another binary", func(t *testing.T) { refusesWrongChecksum(t, s, logins, sum) })

	// The refusals have harmed nothing: with the right checksum it goes on
	// where it was, without a login.
	s.configure(t, thirdPartyYAML(logins, sum))
	r = startRun(t, s)
	r.until(func(st control.Status) bool {
		return provider(st, "acme").State == control.ProviderRunning && deliveredAll(st, logins, 2)
	})
	if got := s.tool(t, "", "refresh", "acme-main", "--force"); got.code != exitOK {
		t.Errorf("refresh: %+v", got)
	}
	r.until(func(st control.Status) bool { return deliveredAll(st, logins[2:], 3) })
	stop(t, s, r)
	delivered(t, s, logins[2])
}

func refusesWrongChecksum(t *testing.T, s *site, logins []login, sum string) {
	wrong := strings.Repeat("0", 64)
	s.configure(t, thirdPartyYAML(logins, wrong))
	for _, verb := range []string{"check", "run"} {
		got := s.tool(t, "", verb)
		if got.code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", verb, got.code, exitUsage)
		}
		for _, want := range []string{"providers.acme", s.path(acmeBinary), sum, wrong, "if the program was replaced on purpose"} {
			if !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%s does not say %q:\n%s%s", verb, want, got.stdout, got.stderr)
			}
		}
	}
	s.mustBeGone(t)
}

// acmeBinary is where the plugin is installed.
const acmeBinary = "plugins/tokenkeeper-provider-acme"

// installAcme builds the example into the plugin directory and returns its
// checksum.
func installAcme(t *testing.T, s *site) (sum string) {
	t.Helper()
	binary := s.path(acmeBinary)
	if err := goBuild(filepath.Join("..", "..", "examples", "provider-acme"), binary); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(b)
	return hex.EncodeToString(digest[:])
}

func broker(t *testing.T, d brokersim.Dialect) *brokersim.Server {
	t.Helper()
	sim := brokersim.New(brokersim.Config{Dialect: d})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// thirdPartyYAML is the configuration of all logins; pin is acme's checksum.
func thirdPartyYAML(logins []login, pin string) string {
	var b strings.Builder
	b.WriteString("plugins: {dir: plugins}\naccounts:\n")
	for _, l := range logins {
		c := l.broker.Config()
		fmt.Fprintf(&b, "  %s: {provider: %s, client_id: %s, client_secret: %s, redirect_url: %q, settings: {token_url: %q}}\n",
			l.account, l.provider, c.ClientID, c.ClientSecret, c.RedirectURL, l.broker.TokenURL())
	}
	b.WriteString("sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n")
	if pin != "" {
		fmt.Fprintf(&b, "providers:\n  acme: {sha256: %q}\n", pin)
	}
	return b.String()
}

// deliveredAll says whether every account is at version, and its sink too.
func deliveredAll(st control.Status, logins []login, version uint64) bool {
	for _, l := range logins {
		a := account(st, l.account)
		if a.State != control.AccountValid || a.Version != version || len(a.Sinks) != 1 || a.Sinks[0].Version != version {
			return false
		}
	}
	return true
}

// delivered fails the test unless the account's file holds the newest tokens
// that the broker gave out, and the broker has nothing to complain of.
func delivered(t *testing.T, s *site, l login) {
	t.Helper()
	body, err := os.ReadFile(s.path(l.account + ".json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		AccessToken  string            `json:"access_token"`
		RefreshToken string            `json:"refresh_token"`
		Extra        map[string]string `json:"extra"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	newest, ok := l.broker.Current(l.account)
	if !ok || got.AccessToken != newest.AccessToken || got.RefreshToken != newest.RefreshToken || !newest.Alive {
		t.Errorf("the file of %s does not hold the broker's newest tokens", l.account)
	}
	if hasURI := got.Extra["base_uri"] != ""; hasURI != (l.broker.Config().Dialect == brokersim.Saxo) {
		t.Errorf("the file of %s: base_uri is there: %t", l.account, hasURI)
	}
	if reused, violations := l.broker.Reused(), l.broker.Violations(); len(reused)+len(violations) > 0 {
		t.Errorf("the broker of %s saw reuse %v, violations %v", l.account, reused, violations)
	}
}

// stop ends the supervisor, which takes its providers along, within seconds.
func stop(t *testing.T, s *site, r *running) {
	t.Helper()
	if took := r.Stop(); took > 10 {
		t.Errorf("SIGTERM took %d beats", took)
	}
	s.mustBeGone(t)
}
