package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// demoWorld is everything around the supervisor that a real installation has
// and the demo makes up: two brokers, a bot and a receiver of webhooks.
type demoWorld struct {
	// config is the path of the configuration that the supervisor gets.
	config  string
	brokers []demoBroker
	bot     *demoBot
	hook    *demoHook
}

// demoBroker is one simulated broker and the account that lives there.
type demoBroker struct {
	sim     *brokersim.Server
	account string
	// format of the token file that the account's first token comes in.
	format string
}

// Lifetimes that let a person see something happen.
const (
	demoSchwabLifetime = 12 * time.Second
	demoSaxoLifetime   = 8 * time.Second
	demoRefreshLife    = 10 * time.Minute
)

func newDemoWorld(dir string) (_ *demoWorld, err error) {
	w := &demoWorld{config: filepath.Join(dir, "tokenkeeper.yaml")}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.brokers = []demoBroker{
		{brokersim.New(brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: demoSchwabLifetime}), "schwab-main", format.Schwab},
		{brokersim.New(brokersim.Config{
			Dialect: brokersim.Saxo, AccessLifetime: demoSaxoLifetime, RefreshLifetime: demoRefreshLife,
		}), "saxo-sim", format.SaxoCache},
	}
	for _, b := range w.brokers {
		if err := b.sim.Start(); err != nil {
			return nil, fmt.Errorf("start a simulated broker: %w", err)
		}
	}
	if w.bot, err = newDemoBot(filepath.Join(dir, "bot.sock")); err != nil {
		return nil, err
	}
	if w.hook, err = newDemoHook(); err != nil {
		return nil, err
	}
	return w, os.WriteFile(w.config, w.yaml(dir), 0o600)
}

// yaml is the configuration, as a user would write it but for the addresses of
// the brokers.
func (w *demoWorld) yaml(dir string) []byte {
	schwab, saxo := w.brokers[0].sim, w.brokers[1].sim
	return fmt.Appendf(nil, `state_dir: %[1]s/state
log: {level: debug}
accounts:
  schwab-main:
    provider: schwab
    client_id: %[2]s
    client_secret: %[3]s
    redirect_url: %[4]s
    settings: {authorize_url: %[5]s, token_url: %[6]s}
    refresh: {before_expiry: 5s, jitter: 1s}
  saxo-sim:
    provider: saxo
    client_id: %[7]s
    client_secret: %[8]s
    redirect_url: %[9]s
    settings: {environment: sim, authorize_url: %[10]s, token_url: %[11]s}
    refresh: {before_expiry: 4s, jitter: 1s}
sinks:
  file: {type: file, path: "%[1]s/{account}.json", format: json}
  bot:  {type: unixsocket, path: %[1]s/bot.sock, include_refresh_token: true}
  hook: {type: webhook, url: "%[12]s", secret: %[13]s}
`, dir,
		schwab.Config().ClientID, schwab.Config().ClientSecret, schwab.Config().RedirectURL, schwab.AuthorizeURL(), schwab.TokenURL(),
		saxo.Config().ClientID, saxo.Config().ClientSecret, saxo.Config().RedirectURL, saxo.AuthorizeURL(), saxo.TokenURL(),
		w.hook.url, w.hook.secret)
}

// logIn gives every account its first token the way a user does who comes
// from another program: with a token file.
func (w *demoWorld) logIn(ctx context.Context, c *control.Client) error {
	for _, b := range w.brokers {
		g := b.sim.Grant(b.account)
		body, err := format.Encode(b.format, format.Document{
			Account: b.account, AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken),
			TokenType: g.TokenType, IssuedAt: g.IssuedAt, Expiry: g.IssuedAt.Add(g.ExpiresIn), LoginAt: g.IssuedAt,
		}, format.Options{})
		if err != nil {
			return err
		}
		if _, err := c.Import(ctx, control.ImportRequest{Account: b.account, Body: body}); err != nil {
			return fmt.Errorf("import the first token of %s: %w", b.account, err)
		}
	}
	return nil
}

func (w *demoWorld) restartHint(c *control.Client) string {
	return ourselves() + " restart schwab --socket " + c.Socket()
}

// ourselves is what a person types to run this program: its name, if a shell finds it by
// that, or else where it lies, since it may not be installed yet.
func ourselves() string {
	const name = "tokenkeeper"
	own, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil && isSameFile(found, own) {
		return name
	}
	if strings.ContainsFunc(own, func(r rune) bool {
		return !strings.ContainsRune("/._-+", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return "'" + strings.ReplaceAll(own, "'", `'\''`) + "'"
	}
	return own
}

func isSameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// received counts the tokens that each consumer got.
func (w *demoWorld) received() map[string]int {
	all := map[string]int{}
	for account, n := range w.bot.received() {
		all["bot "+account] = n
	}
	maps.Copy(all, w.hook.received())
	return all
}

// reused lists the refresh tokens that a broker saw twice: there must be none.
func (w *demoWorld) reused() []string {
	var all []string
	for _, b := range w.brokers {
		for _, r := range b.sim.Reused() {
			all = append(all, fmt.Sprintf("%s: %v", b.account, r))
		}
	}
	return all
}

func (w *demoWorld) close() {
	for _, b := range w.brokers {
		b.sim.Close()
	}
	if w.bot != nil {
		w.bot.close()
	}
	if w.hook != nil {
		w.hook.close()
	}
}
