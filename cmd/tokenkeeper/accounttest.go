package main

import (
	"time"

	"github.com/spf13/cobra"
)

func newTestCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "test ACCOUNT",
		Short: "Ask an account's broker whether its access token works",
		Long: `Show an account's newest access token to its broker, which is asked for
something that changes nothing, and say whether it was accepted. Nothing follows
from the answer: the account is not refreshed, and the refresh token stays where
it is. The provider must have such a call; the built-in ones do.`,
		Example: "  tokenkeeper test schwab-main",
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.TestAccount(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case e.json:
				return e.printJSON(got)
			}
			return e.print("%s: the broker accepts version %d (it took %s)", got.Account, got.Version, got.Took.Round(time.Millisecond))
		},
	}
}
