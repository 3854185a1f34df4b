package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// explainVerb is the environment of the verb that explains.
type explainVerb struct{ *env }

func newExplainCommand(of *env) *cobra.Command {
	e := explainVerb{of}
	var at string
	cmd := &cobra.Command{
		Use:   "explain ACCOUNT [--at TIME]",
		Short: "Say why an account has no valid token, or had none",
		Long: `Say in sentences whether an account has a valid token, or had one at a time:
which version, since when and until when, what kept the next one from coming,
which sinks had what, and what to do now.

It is taken from the history that a supervisor keeps in its state directory over
restarts, and which has the last days; none has to run. TIME is a time like
14:05 (the last one), "2026-11-21 14:05" in the zone of this machine, or
2026-11-21T14:05:00Z, or how long ago it was, like 90m, 2h or 3d.

Exit code 1: the history does not tell, or no account has, or had, that name.`,
		Example: `  tokenkeeper explain schwab-main
  tokenkeeper explain schwab-main --at 02:30`,
		Args:              exactArgs("ACCOUNT"),
		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.explain(cmd.Context(), args[0], at)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the `time` in question (default: now)")
	return cmd
}

func (e explainVerb) explain(ctx context.Context, account, text string) error {
	now := e.now()
	q := explain.Question{Account: account, At: now, Now: now}
	var err error
	if text != "" {
		if q.At, err = before("--at", text, q.Now); err != nil {
			return err
		}
		if q.At.After(q.Now) {
			return usageErrorf("--at %s is yet to come: what will be is in: tokenkeeper status %s", text, account)
		}
	}
	of := historian(e)
	past, err := of.past(ctx, func(l history.Line) bool { return l.Account == account })
	if err != nil {
		return err
	}
	if err := of.isKnown(ctx, account, past); err != nil {
		return err
	}
	q.Cut = past.Cut
	if c, err := e.client(); err == nil {
		q.Answers = answers(c.Socket())
		if since := of.observed(ctx); !since.IsZero() {
			q.Answers, q.Observed = false, since
		}
		q.Silent = !q.Answers
		c.Close()
	}
	got := explain.Explain(past.Lines, q)
	if e.json {
		err = e.printJSON(got)
	} else {
		for _, sentence := range got.Sentences {
			if err = e.print("%s", harmless(sentence)); err != nil {
				break
			}
		}
	}
	if err == nil && got.Verdict == explain.Unknown {
		err = &exitError{exitFailure, errSaid}
	}
	return err
}
