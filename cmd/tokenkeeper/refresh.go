package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newRefreshCommand(e *env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "refresh ACCOUNT [--force]",
		Short: "Refresh one account's token now, if it is due",
		Long: `Refresh one account's token now and wait for the outcome.

An account that is not due is left alone unless --force is given.`,
		Example: "  tokenkeeper refresh schwab-main --force",
		Args:    exactArgs("ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Refresh(cmd.Context(), args[0], force)
			if err != nil {
				return err
			}
			now := e.now()
			switch {
			case e.json:
				return e.printJSON(got)
			case !got.Refreshed:
				return e.print("%s: left alone: v%d expires %s and is due %s; --force refreshes it all the same",
					got.Account, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), moment.Text(got.Due, now, false))
			case got.ReplacedBy != "":
				return e.print("%s: the refresh was made, and meanwhile a new %s has taken the place of the token: v%d of that expires %s; the next refresh is %s",
					got.Account, got.ReplacedBy, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), next(got.Due, now))
			default:
				return e.print("%s: refreshed: v%d expires %s; the next refresh is %s",
					got.Account, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), next(got.Due, now))
			}
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "refresh also if the account is not due")
	return cmd
}

// next is when an account is refreshed again.
func next(due, now time.Time) string {
	switch {
	case due.IsZero():
		return "not planned; tokenkeeper status says why"
	case !due.After(now):
		return "due now"
	}
	return moment.Relative(due, now)
}
