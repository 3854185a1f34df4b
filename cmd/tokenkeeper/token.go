package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newTokenCommand(e *env) *cobra.Command {
	var expired bool
	cmd := &cobra.Command{
		Use:   "token ACCOUNT [--allow-expired]",
		Short: "Print one account's access token, for scripts",
		Long: `Print one account's access token and nothing else.

An expired token is refused unless --allow-expired is given.`,
		Example: `  curl -H "Authorization: Bearer $(tokenkeeper token schwab-main)" https://…`,
		Args:    exactArgs("ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Token(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if now := e.now(); !got.Expiry.IsZero() && !got.Expiry.After(now) && !expired {
				return fmt.Errorf("the access token of %s expired %s: \"tokenkeeper status\" says why; --allow-expired prints it all the same",
					got.Account, moment.Text(got.Expiry, now, got.ExpiryUncertain))
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.print("%s", got.AccessToken)
		},
	}
	cmd.Flags().BoolVar(&expired, "allow-expired", false, "print it also if it has expired")
	return cmd
}
