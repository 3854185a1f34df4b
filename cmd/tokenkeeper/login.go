package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newLoginCommand(e *env) *cobra.Command {
	var confirm, discard bool
	cmd := &cobra.Command{
		Use:   "login ACCOUNT [--confirm|--discard]",
		Short: "Log in at the broker, for a first token or a new one",
		Long: `Log in at the broker. It prints an address to open in any browser, on any
machine. After the login the broker sends the browser to the account's
redirect_url, where usually nothing answers: copy the whole address that the
browser then shows and paste it here, before the code in it dies (some brokers
give it 30 seconds).

The supervisor must run. It spends the code itself, and the answer is durable
before anything else happens.

If the broker says that another person has logged in than before, that login
waits beside the account's own, which goes on being refreshed: --confirm puts
it in the other's place, --discard forgets it.`,
		Example: "  tokenkeeper login schwab-main",
		Args:    exactArgs("ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if confirm && discard {
				return usageErrorf("give --confirm or --discard, not both")
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			switch {
			case confirm:
				got, err := c.ConfirmLogin(cmd.Context(), args[0])
				return e.loggedIn(got, err)
			case discard:
				return e.discardLogin(cmd.Context(), c, args[0])
			}
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
			return e.loggedIn(got, err)
		},
	}
	cmd.Flags().BoolVar(&confirm, "confirm", false, "take the login of another person, which waits")
	cmd.Flags().BoolVar(&discard, "discard", false, "forget the login of another person, which waits")
	return cmd
}

// loggedIn tells of a login whose token is in use now.
func (e *env) loggedIn(got control.LoggedInAnswer, err error) error {
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(got)
	}
	now, person := e.now(), ""
	if got.Person != "" {
		person = "\n  person         " + got.Person
	}
	return e.print("%s: logged in as v%d%s\n  access token   expires %s\n  refresh token  expires %s", got.Account, got.Version, person,
		ending(got.Expiry, now, got.ExpiryUncertain), orNever(moment.Text(got.RefreshExpiry, now, false)))
}

func (e *env) discardLogin(ctx context.Context, c *control.Client, account string) error {
	got, err := c.DiscardLogin(ctx, account)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(got)
	}
	return e.print("%s: the login of %s is forgotten, and the account is as it was", got.Account, got.Person)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
