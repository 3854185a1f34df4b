package main

import (
	"github.com/spf13/cobra"
)

func newLogsCommand(e *env) *cobra.Command {
	var since string
	var follow, audit bool
	cmd := &cobra.Command{
		Use:   "logs [ACCOUNT] [-f] [--since TIME]",
		Short: "Show what has happened lately, over restarts",
		Long: `Show what has happened in the last hour, or since TIME, as "tokenkeeper events
--since" does: from the history in the state directory, which survives restarts;
of ACCOUNT alone where one is named, with the alerts of several that name it.
With -f it goes on with what happens, until interrupted; otherwise no supervisor
has to run. Every event is in the log, too; what that has beside them is where
it goes: standard error, the journal of systemd, the file of log.file.`,
		Example: "  tokenkeeper logs -f\n  tokenkeeper logs schwab-main --since 02:00",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("ACCOUNT")(cmd, args)
		},
		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := before("--since", since, e.now())
			if err != nil {
				return err
			}
			v := newEventsVerb(e, audit)
			v.since = &at
			if len(args) > 0 {
				v.account = args[0]
			}
			if follow {
				return v.follow(cmd.Context())
			}
			return v.onlyPast(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens")
	cmd.Flags().BoolVar(&audit, "audit", false, "show who changes tokens, too")
	cmd.Flags().StringVar(&since, "since", "1h", "begin at this `time`")
	return cmd
}
