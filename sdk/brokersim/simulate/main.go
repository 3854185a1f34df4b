// Command simulate is a broker on this machine for one account of a configuration: it
// writes a first token into a file, prints the variables that lead the account here, and
// answers until it is ended.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := simulate(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func simulate(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	account := flags.String("account", "", "the account's `name` in the configuration")
	dialect := flags.String("dialect", string(brokersim.Saxo), "the broker that it is like: schwab or saxo")
	token := flags.String("token-file", "first.json", "the `file` for its first token")
	life := flags.Duration("lifetime", time.Minute, "how long an access token lives")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d := brokersim.Dialect(*dialect)
	if *account == "" || flags.NArg() > 0 || d != brokersim.Saxo && d != brokersim.Schwab {
		return fmt.Errorf("simulate: write --account NAME, and --dialect schwab or saxo")
	}
	sim := brokersim.New(brokersim.Config{Dialect: d, AccessLifetime: *life, RefreshLifetime: 7 * 24 * time.Hour})
	if err := sim.Start(); err != nil {
		return err
	}
	defer sim.Close()
	first := sim.Grant(*account)
	body, err := json.Marshal(map[string]any{
		"access_token": first.AccessToken, "refresh_token": first.RefreshToken, "token_type": first.TokenType,
		"issued_at": first.IssuedAt.UTC().Format(time.RFC3339), "expires_at": first.IssuedAt.Add(first.ExpiresIn).Unix(),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(*token, append(body, '\n'), 0o600); err != nil {
		return err
	}
	variable := "export TOKENKEEPER_ACCOUNTS__" + strings.ToUpper(strings.ReplaceAll(*account, "-", "_")) + "__"
	c := sim.Config()
	for _, v := range [][2]string{
		{"CLIENT_ID", c.ClientID}, {"CLIENT_SECRET", c.ClientSecret}, {"REDIRECT_URL", c.RedirectURL},
		{"SETTINGS__AUTHORIZE_URL", sim.AuthorizeURL()}, {"SETTINGS__TOKEN_URL", sim.TokenURL()},
	} {
		if _, err := fmt.Fprintf(stdout, "%s%s=%s\n", variable, v[0], v[1]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
