package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newLoginCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "login ACCOUNT",
		Short: "Log in at the broker, for a first token or a new one",
		Long: `Log in at the broker. It prints an address to open in any browser, on any
machine. After the login the broker sends the browser to the account's
redirect_url, where usually nothing answers: copy the whole address that the
browser then shows and paste it here, before the code in it dies (some brokers
give it 30 seconds).

The supervisor must run. It spends the code itself, and the answer is durable
before anything else happens.`,
		Example: "  tokenkeeper login schwab-main",
		Args:    exactArgs("ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			begun, err := c.Login(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			// The prompt is for people; what programs read goes to stdout.
			_, _ = fmt.Fprintf(e.stderr, "Open this address and log in:\n\n  %s\n\nThen paste the whole address that the browser shows:\n", begun.URL)
			line, err := bufio.NewReader(io.LimitReader(e.stdin, maxTokenFile)).ReadString('\n')
			if line = strings.TrimSpace(line); line == "" {
				return errors.Join(errors.New("no address was pasted: nothing was changed"), ignoreEOF(err))
			}
			got, err := c.CompleteLogin(cmd.Context(), args[0], line)
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			now := e.now()
			return e.print("%s: logged in as v%d\n  access token   expires %s\n  refresh token  expires %s",
				got.Account, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), orNever(moment.Text(got.RefreshExpiry, now, false)))
		},
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
