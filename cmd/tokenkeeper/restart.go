package main

import "github.com/spf13/cobra"

func newRestartCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "restart PROVIDER",
		Short: "Replace one provider's process",
		Long: `Replace one provider's process and wait for the new one.

A refresh in flight finishes first. The other providers don't notice. All
accounts of the provider get the new process; an account has none of its own. It
is started with the configuration that the supervisor has; the command says so
if the file holds another one now. A plugin is started from its program as it is
on the disk then, a built-in provider from the program of the supervisor.`,
		Example: "  tokenkeeper restart schwab",
		Args:    exactArgs("PROVIDER"),

		ValidArgsFunction: e.completes(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Restart(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer e.warnOfOldConfig(cmd.Context(), c)
			if e.json {
				return e.printJSON(got)
			}
			if got.OldPID == 0 {
				return e.print("%s: started as PID %d (generation %d)", got.Provider, got.PID, got.Generation)
			}
			return e.print("%s: PID %d was replaced by PID %d (generation %d)", got.Provider, got.OldPID, got.PID, got.Generation)
		},
	}
}
