package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newAlertAckCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "ack ALERT",
		Short: "Keep an alert from being repeated: somebody is at it",
		Long: `Keep an alert from being repeated, because somebody is at it. If more accounts
get into the trouble, and when it is over, that is told. A restart does not
forget it. ALERT is its name, as "tokenkeeper alerts" shows it.`,
		Example:           "  tokenkeeper alerts ack needs_login:schwab",
		Args:              exactArgs("ALERT"),
		ValidArgsFunction: e.completesAlert(func(a event.Alert) bool { return !hushed(a) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (event.Alert, error) {
				return c.AcknowledgeAlert(cmd.Context(), args[0])
			}, func(a event.Alert) error {
				return e.print("%s: acknowledged: it is not repeated; its end is told", a.Key)
			})
		},
	}
}

func newAlertSilenceCommand(e *env) *cobra.Command {
	var during time.Duration
	cmd := &cobra.Command{
		Use:   "silence ALERT --for DURATION",
		Short: "Keep all but an alert's end from being told for some time",
		Long: `Keep all but the end of an alert from being told for some time. If it lasts
longer, it is told again then. A restart does not forget it. ALERT is its name,
as "tokenkeeper alerts" shows it.`,
		Example:           "  tokenkeeper alerts silence refresh_failing:saxo --for 2h",
		Args:              exactArgs("ALERT"),
		ValidArgsFunction: e.completesAlert(func(event.Alert) bool { return true }),
		RunE: func(cmd *cobra.Command, args []string) error {
			if during <= 0 {
				return usageErrorf("say for how long, e.g. --for 2h")
			}
			return aboutSink(cmd.Context(), e, func(c *control.Client) (event.Alert, error) {
				return c.SilenceAlert(cmd.Context(), args[0], during)
			}, func(a event.Alert) error {
				return e.print("%s: silenced until %s; its end is told", a.Key, moment.Text(a.Hush.Until, e.now(), false))
			})
		},
	}
	cmd.Flags().DurationVar(&during, "for", 0, "how long, e.g. 2h")
	return cmd
}

func newAlertResumeCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "resume ALERT",
		Short:             "Take back what ack and silence did",
		Long:              `Let an alert that was acknowledged or silenced be told and repeated again.`,
		Example:           "  tokenkeeper alerts resume refresh_failing:saxo",
		Args:              exactArgs("ALERT"),
		ValidArgsFunction: e.completesAlert(hushed),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (event.Alert, error) {
				return c.ResumeAlert(cmd.Context(), args[0])
			}, func(a event.Alert) error {
				return e.print("%s: it is told and repeated again", a.Key)
			})
		},
	}
}
