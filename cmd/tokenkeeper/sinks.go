package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func newSinksCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sinks",
		Short: "Show how every sink does; test, redeliver, disable or restart one",
		Long: `Show how every sink does.

ACCOUNTS is how many accounts' tokens go there, UP TO DATE how many of those
that have a token it has the newest of, LAG for how long it has lacked one (with
> for longer: the supervisor was restarted meanwhile), LAST when it took
something. "tokenkeeper status" shows single accounts.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownSubcommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return e.showSinks(cmd.Context()) },
	}
	cmd.AddCommand(newSinkListCommand(e), newSinkTestCommand(e), newRedeliverCommand(e), newSinkDisableCommand(e), newSinkEnableCommand(e), newSinkRestartCommand(e))
	for _, c := range cmd.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return cmd
}

func newSinkListCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show how every sink does, as without a word after it",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return e.showSinks(cmd.Context()) },
	}
}

func (e *env) showSinks(ctx context.Context) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.Sinks(ctx)
	if err != nil {
		return err
	}
	defer e.warnOfOldConfig(ctx, c)
	switch {
	case e.json:
		return e.printJSON(got)
	case got.Observing:
		return e.print("no sink is opened, as this supervisor only observes; those of the configuration are shown by: tokenkeeper check")
	case len(got.Sinks) == 0:
		return e.print("the configuration has no sinks")
	}
	var b strings.Builder
	sinksTable(got.Sinks, e.now()).within(e.tableWidth()).render(&b, e.painter(), 0, 1)
	return e.write(b.String())
}

// unknownSubcommand is unknownCommand for the commands below cmd.
func unknownSubcommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usageErrorf("there is no command %q; did you mean %s?", cmd.CommandPath()+" "+name, strings.Join(near, " or "))
	}
	return usageErrorf("there is no command %q; see \"%s --help\"", cmd.CommandPath()+" "+name, cmd.CommandPath())
}

func newSinkTestCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Show whether a sink works",
		Long: `Show whether a sink works, as far as that can be seen without giving anybody a
token that is not the newest. One that takes notices is sent one that is marked
as a test. It says what was tried. If it works, all that the sink has failed to
take or refused is tried again at once.`,
		Example: "  tokenkeeper sinks test phone",
		Args:    exactArgs("NAME"),

		ValidArgsFunction: e.completes(sinkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (control.SinkTestAnswer, error) {
				return c.TestSink(cmd.Context(), args[0])
			}, func(got control.SinkTestAnswer) error {
				return e.print("%s: it works: %s", got.Sink, got.Done)
			})
		},
	}
}

func newRedeliverCommand(e *env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "redeliver NAME [ACCOUNT] [--force]",
		Short: "Deliver once more what a sink has already",
		Long: `Deliver the newest token of an account, or of all that go to the sink, once
more, and every alert that lasts: for a receiver that has lost what it had. It
does not wait for the deliveries; "tokenkeeper sinks" shows what comes of them.

A file that holds a refresh token which is not known here is not written over,
because it may be the only copy of a login. With --force, and an account, it is.`,
		Example: "  tokenkeeper sinks redeliver cache schwab-main",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exactArgs("NAME", "ACCOUNT")(cmd, args)
			}
			return exactArgs("NAME")(cmd, args)
		},
		ValidArgsFunction: e.completes(sinkNames, accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			account := ""
			if len(args) > 1 {
				account = args[1]
			}
			if force && account == "" {
				return usageErrorf("name the account with --force: it writes over what may be the only copy of a login")
			}
			return aboutSink(cmd.Context(), e, func(c *control.Client) (control.RedeliverAnswer, error) {
				return c.Redeliver(cmd.Context(), args[0], account, force)
			}, func(got control.RedeliverAnswer) error {
				switch {
				case got.Deliveries == 0:
					return e.print("%s: there is nothing to deliver yet: none of its accounts has a valid token", got.Sink)
				case got.Deliveries == 1:
					return e.print("%s: 1 delivery is on its way", got.Sink)
				default:
					return e.print("%s: %d deliveries are on their way", got.Sink, got.Deliveries)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also over a refresh token that is not known here")
	return cmd
}

func newSinkDisableCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "disable NAME",
		Short: "Keep everything from a sink, for now",
		Long: `Keep everything from a sink until it is enabled again. It is not remembered: a
restart of the supervisor enables the sink. To be rid of it for good, take it
out of the configuration.`,
		Example: "  tokenkeeper sinks disable hook",
		Args:    exactArgs("NAME"),

		ValidArgsFunction: e.completes(sinkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (control.Sink, error) {
				return c.DisableSink(cmd.Context(), args[0])
			}, func(got control.Sink) error {
				return e.print("%s: disabled until \"tokenkeeper sinks enable %s\" or a restart of the supervisor", got.Name, got.Name)
			})
		},
	}
}

func newSinkEnableCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "enable NAME",
		Short: "Let a sink that was disabled have what it missed",
		Long: `Let a sink take deliveries again, whoever disabled it, and bring it what it
missed: the newest only.`,
		Example: "  tokenkeeper sinks enable hook",
		Args:    exactArgs("NAME"),

		ValidArgsFunction: e.completes(sinkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (control.Sink, error) {
				return c.EnableSink(cmd.Context(), args[0])
			}, func(got control.Sink) error {
				return e.print("%s: enabled: it gets what it missed", got.Name)
			})
		},
	}
}

func newSinkRestartCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "restart NAME",
		Short: "Replace the process of a sink that is a plugin",
		Long: `Replace the process of a sink that is a plugin and wait for the new one. What is
in flight finishes first. The other sinks don't notice.`,
		Example: "  tokenkeeper sinks restart vault",
		Args:    exactArgs("NAME"),

		ValidArgsFunction: e.completes(sinkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSink(cmd.Context(), e, func(c *control.Client) (control.SinkRestartAnswer, error) {
				return c.RestartSink(cmd.Context(), args[0])
			}, func(got control.SinkRestartAnswer) error {
				if got.OldPID == 0 {
					return e.print("%s: started as PID %d (generation %d)", got.Sink, got.PID, got.Generation)
				}
				return e.print("%s: PID %d was replaced by PID %d (generation %d)", got.Sink, got.OldPID, got.PID, got.Generation)
			})
		},
	}
}

// aboutSink makes one call and shows its answer, as JSON if that is wanted.
func aboutSink[T any](ctx context.Context, e *env, call func(*control.Client) (T, error), show func(T) error) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := call(c)
	if err != nil {
		return err
	}
	defer e.warnOfOldConfig(ctx, c)
	switch {
	case e.json:
		return e.printJSON(got)
	default:
		return show(got)
	}
}
