package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func newSpoolCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Show, take or discard a broker's answers that are not used",
		Long: `Show the answers of a broker that are kept and not used. Each may hold the only
refresh token of its account that works.

One that nobody could read is kept in a file until newer ones of the account
take its place (three are kept); of one that newer tokens have overtaken, that
is said. One that could be read, and that does not descend from the account's
newest token, as when somebody has logged in meanwhile, is kept for a day.

What is shown is their shape: no token and no other value.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownSubcommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return e.showUnread(cmd.Context(), "") },
	}
	cmd.AddCommand(newSpoolInspectCommand(e), newSpoolTakeCommand(e), newSpoolAdoptCommand(e), newSpoolDiscardCommand(e))
	return cmd
}

func newSpoolInspectCommand(e *env) *cobra.Command {
	var body string
	cmd := &cobra.Command{
		Use:   "inspect FILE [--body OUT]",
		Short: "Show the shape of one unread answer, or write out what came",
		Long: `Show the shape of one unread answer. With --body, what the broker sent is
written to OUT, which nobody else can read, as it came but for its compression:
that holds secrets. Mend it there, until it is the JSON that a token endpoint
answers ({"access_token": …, "refresh_token": …, "expires_in": …}), and give it
back:

  tokenkeeper spool take FILE OUT`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if body == "" {
				return e.showUnread(cmd.Context(), args[0])
			}
			u, err := spool.ReadUnread(args[0])
			if err != nil {
				return err
			}
			text, err := oauth.BodyOf(u.Answer)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			f, err := os.OpenFile(body, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("write the answer: %w", err)
			}
			_, err = f.Write(text)
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(body) // a part of it is of no use, and secret
				return fmt.Errorf("write the answer: %w", err)
			}
			if e.json {
				return e.printJSON(writtenBody{body, len(text)})
			}
			return e.print("%d bytes, which hold secrets, are in %s; once it is mended:\n  tokenkeeper spool take %s %[2]s", len(text), body, args[0])
		},
	}
	cmd.Flags().StringVar(&body, "body", "", "write what the broker sent, secrets included, to a new `file`")
	return cmd
}

// writtenBody is what "spool inspect FILE --body OUT --json" prints.
type writtenBody struct {
	Body  string `json:"body"` // the file, which holds secrets
	Bytes int    `json:"bytes"`
}

func newSpoolTakeCommand(e *env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "take FILE MENDED",
		Short: "Take the token of an unread answer that a person has mended",
		Long: `Take the token of an unread answer that a person has mended: MENDED is what
"tokenkeeper spool inspect FILE --body MENDED" wrote, put right. It becomes the
newest token of the account that FILE is of, and FILE is removed.

An account that has got another token since is left alone, but with --force.`,
		Args: exactArgs("FILE", "MENDED"),
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := spool.ReadUnread(args[0])
			if err != nil {
				return err
			}
			if u.Account == "" {
				return usageErrorf("%s does not say whose answer it is: use \"tokenkeeper import ACCOUNT %s --force\"", args[0], args[1])
			}
			req := control.ImportRequest{Account: u.Account, Force: true, WrittenAt: u.BegunAt}
			if req.Body, _, err = e.readTokenFile(cmd.Context(), args[1]); err != nil {
				return err
			}
			if !force {
				req.Since = &u.Version
			}
			got, err := e.importToken(cmd.Context(), req)
			if err != nil {
				return err
			}
			if err := os.Remove(u.Path); err != nil {
				e.warn("the answer was taken, and its file could not be removed: %v", err)
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.printImported(got)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also if the account has got another token since")
	return cmd
}

func newSpoolAdoptCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "adopt ACCOUNT ATTEMPT",
		Short: "Take the token of an answer that was set aside",
		Long: `Take the token of an answer that was set aside because it does not descend from
the account's newest token. It takes that one's place, which is gone back to if
the broker refuses it; "tokenkeeper spool" shows which there are.`,
		Args:              exactArgs("ACCOUNT", "ATTEMPT"),
		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			got, err := e.importToken(cmd.Context(), control.ImportRequest{Account: args[0], Attempt: args[1], Force: true})
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.printImported(got)
		},
	}
}

func newSpoolDiscardCommand(e *env) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "discard FILE --yes",
		Short: "Remove an unread answer for good",
		Long: `Remove an unread answer for good. It may hold the only refresh token of its
account that works; whoever has logged in since, or has taken it, needs it no
more.`,
		Args: exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			u, err := spool.ReadUnread(args[0])
			if err != nil {
				return err
			}
			if !yes {
				return usageErrorf("%s may hold the only refresh token of account %s that works: to remove it all the same, add --yes", u.Path, u.Account)
			}
			if err := os.Remove(u.Path); err != nil {
				return err
			}
			if e.json {
				return e.printJSON(struct {
					Removed string `json:"removed"`
				}{u.Path})
			}
			return e.print("removed %s", u.Path)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "really remove it")
	return cmd
}
