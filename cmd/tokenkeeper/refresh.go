package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newRefreshCommand(e *env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "refresh ACCOUNT [--force]",
		Short: "Refresh one account's token now, if it is due",
		Long: `Get one account's next token now and wait for the outcome: by a refresh, a
renewal or a mint, whichever its provider knows.

An account that is not due is left alone unless --force is given. After a
failure it is tried at once, also before the pause is over that the broker has
asked for (Retry-After). With --force even a token or a key is sent that was
refused, or perhaps used up, and over the broker's limit of requests an hour: a
broker that is asked too often may lock you out. A paused account is refreshed
only with --force, once, and stays paused.`,
		Example: "  tokenkeeper refresh schwab-main --force",
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
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
				return e.print("%s: left alone: v%d expires %s and is due %s; --force gets the next one all the same",
					got.Account, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), moment.Text(got.Due, now, false))
			case got.ReplacedBy != "":
				return e.print("%s: a token was asked for, and meanwhile a new %s has taken the place of the token: v%d of that expires %s; the next refresh is %s",
					got.Account, got.ReplacedBy, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), next(got.Due, now))
			default:
				did, again := "refreshed", "refresh"
				switch got.By {
				case control.ByRenewal:
					did, again = "renewed", "renewal"
				case control.ByMint:
					did, again = "minted", "mint"
				}
				return e.print("%s: %s: v%d expires %s; the next %s is %s",
					got.Account, did, got.Version, ending(got.Expiry, now, got.ExpiryUncertain), again, next(got.Due, now))
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
