package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// accountsVerb is the environment of a verb about what is stored of accounts.
type accountsVerb struct{ *env }

func newAccountsCommand(of *env) *cobra.Command {
	e := accountsVerb{of}
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "List what is stored of each account; rename or forget one",
		Long: `List every account that is configured, and every one of which the store has a
token, as "tokenkeeper accounts list" does; have one that was renamed in the
configuration go on with its login; forget one that is in no configuration.

It works with a running supervisor and without.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownSubcommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return e.listAccounts(cmd.Context()) },
	}
	cmd.AddCommand(newAccountsListCommand(e), newAccountsRenameCommand(e), newAccountsForgetCommand(e))
	for _, c := range cmd.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return cmd
}

func newAccountsListCommand(e accountsVerb) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show each account that is configured or stored",
		Long: `Show each account that is configured, or of which the store has a token.

CLIENT is how its client id begins, or, of one that no account of the
configuration has, the fingerprint of it. LOGIN is until when its login lives; a
time marked with ~ is uncertain. An account that is not CONFIGURED is not
refreshed.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.listAccounts(cmd.Context()) },
	}
}

func (e accountsVerb) listAccounts(ctx context.Context) error {
	got, err := e.accountList(ctx)
	switch {
	case err != nil:
		return err
	case e.json:
		return e.printJSON(got)
	case len(got.Accounts) == 0:
		return e.print("no account is configured, and none is stored")
	}
	var b strings.Builder
	listedTable(got.Accounts, e.now()).within(e.tableWidth()).render(&b, e.painter(), 0, 1, 2)
	return e.write(b.String())
}

// accountList asks the supervisor, or reads the store if none runs.
func (e accountsVerb) accountList(ctx context.Context) (got control.AccountList, err error) {
	err = e.withOrWithout(ctx, func(c *control.Client) error {
		got, err = c.Accounts(ctx)
		return err
	}, func(cfg *config.Config) error {
		got.Now = e.now()
		got.Accounts, err = leftover.Stored(cfg, got.Now)
		return err
	})
	return got, err
}

// withOrWithout asks the supervisor, or does it to the state directory if none runs.
func (e accountsVerb) withOrWithout(ctx context.Context, with func(*control.Client) error, without func(*config.Config) error) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if err = with(c); !errors.Is(err, control.ErrNotRunning) || e.socket != "" {
		return err
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if state := checkStateDir(ctx, cfg); !state.OK {
		return usageErrorf("the state directory %s %s", state.Path, state.State)
	}
	return without(cfg)
}

func listedTable(all []control.ListedAccount, now time.Time) table {
	t := table{head: []string{"ACCOUNT", "PROVIDER", "CLIENT", "CONFIGURED", "VER", "LOGIN"}, width: narrow}
	for _, a := range all {
		configured, notes := cell{"yes", green}, []cell(nil)
		if !a.Configured {
			configured = cell{"no", red}
			_, todo := a.LeftText(now)
			notes = []cell{{todo, yellow}}
		}
		t.rows = append(t.rows, row{cells: []cell{
			{a.Name, plain}, {orNever(a.Provider), plain}, {clientText(a), plain}, configured, {version(a.Version), plain}, loginEnd(a, now),
		}, notes: notes})
	}
	return t
}

// clientText is as much of a client id as is shown.
func clientText(a control.ListedAccount) string {
	const shown = 8
	switch {
	case a.ClientID != "":
		return a.ClientID + "…"
	case a.Client != "":
		return "#" + a.Client[:min(len(a.Client), shown)]
	}
	return moment.Never
}

// loginEnd is until when a login lives, or why it does not, for a column.
func loginEnd(a control.ListedAccount, now time.Time) cell {
	end, uncertain := a.Ends()
	switch {
	case a.Version == 0:
		return cell{"none", yellow}
	case !a.Revoked.IsZero():
		return cell{"revoked", red}
	case a.RefreshRefused:
		return cell{"refused", red}
	case end.IsZero():
		return cell{moment.Unknown, plain}
	case !a.HasLogin:
		return cell{"ended " + moment.Brief(end, now, uncertain), red}
	}
	return cell{moment.Brief(end, now, uncertain), plain}
}

// leftNames lets a shell complete the name of an account that is in no configuration, and
// then one of the configuration.
func (e accountsVerb) leftNames(then namesOf) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			if then == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return e.completes(nil, then)(cmd, args, begun)
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		got, err := e.accountList(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, a := range leftover.Of(got.Accounts) {
			if strings.HasPrefix(a.Name, begun) {
				names = append(names, a.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func newAccountsRenameCommand(e accountsVerb) *cobra.Command {
	return &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Have a renamed account go on with its login",
		Long: `Have the account NEW of the configuration, which has no token, go on with what
the store has of OLD, which is in no configuration any more: its login with its
history, an attempt of which nobody knows the outcome, and the broker's answers
that lie unread. Nothing is asked of the broker. Sinks get the token under the
new name; what they hold under the old one stays there.

It is refused where something could be lost: NEW has a token, the login was
granted to another client, server or provider than NEW's, or an attempt of OLD
is not settled.`,
		Example:           "  tokenkeeper accounts rename schwab-old schwab-main",
		Args:              exactArgs("OLD", "NEW"),
		ValidArgsFunction: e.leftNames(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var got control.RenameAnswer
			err := e.withOrWithout(ctx, func(c *control.Client) (err error) {
				got, err = c.RenameAccount(ctx, args[0], args[1])
				return err
			}, func(cfg *config.Config) error {
				err := leftover.Offline(ctx, cfg, func(a leftover.Accounts) (err error) {
					got, err = a.Rename(ctx, args[0], args[1])
					return err
				})
				if err == nil {
					e.noteAside(cfg.StateDir, e.now(), leftover.Renamed(got, cfg.Accounts[got.Account].Provider))
				}
				return err
			})
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			text := fmt.Sprintf("account %s goes on with the login of %s, at version %d", got.Account, got.From, got.Version)
			if got.Unread > 0 {
				text += fmt.Sprintf("; %s of the broker, which nobody could read, %s its own now: tokenkeeper spool", counted(got.Unread, "answer", "answers"), isAre(got.Unread))
			}
			return e.print("%s", text)
		},
	}
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func newAccountsForgetCommand(e accountsVerb) *cobra.Command {
	var yes, revoke bool
	cmd := &cobra.Command{
		Use:   "forget NAME [--revoke] [--yes]",
		Short: "Remove what is stored of an account that is in no configuration",
		Long: `Remove what is stored of an account that is in no configuration, for good: its
tokens, what is known of earlier ones, what sinks have had of it, attempts that
are not settled and the broker's answers to them. On a terminal it asks first;
elsewhere it needs --yes.

At the broker nothing is done: the login lives on there until its end, or until
somebody ends it at the broker's site. With --revoke a running supervisor has
the broker end it first, as "tokenkeeper revoke" does. It needs an account of
the configuration that has the same client, and no broker that ends every login
of the client with it. If that fails, nothing is removed, and the error says
what to do.

A shared file that the account had stays as it is, and with it what other
programs have refreshed since. Backups of the store have the token until they
are replaced, which takes a week.`,
		Example:           "  tokenkeeper accounts forget schwab-old --yes\n  tokenkeeper accounts forget acme-old --revoke --yes",
		Args:              exactArgs("NAME"),
		ValidArgsFunction: e.leftNames(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if !yes {
				if err := e.mayForget(ctx, args[0], revoke); err != nil {
					return err
				}
			}
			var got control.ForgetAnswer
			err := e.withOrWithout(ctx, func(c *control.Client) (err error) {
				got, err = c.ForgetAccount(ctx, args[0], revoke)
				if revoke {
					err = cutOff(err, args[0], "ask once more: tokenkeeper accounts forget "+args[0]+" --revoke")
				}
				return err
			}, func(cfg *config.Config) error {
				if revoke {
					return revokedByWhom(fmt.Errorf("%w; nothing was forgotten", control.ErrNotRunning))
				}
				err := leftover.Offline(ctx, cfg, func(a leftover.Accounts) (err error) {
					got, err = a.Forget(ctx, args[0])
					return err
				})
				if err == nil {
					e.noteAside(cfg.StateDir, e.now(), leftover.Forgotten(got))
				}
				return err
			})
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.print("%s", forgotten(got, e.now()))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "really remove it, without a question")
	cmd.Flags().BoolVar(&revoke, "revoke", false, "have the broker end its login first")
	return cmd
}

// mayForget says what is removed, and asks whether it may be.
func (e accountsVerb) mayForget(ctx context.Context, account string, revoke bool) error {
	all, err := e.accountList(ctx)
	if err != nil {
		return err
	}
	what := "what is stored of account " + account
	for _, a := range all.Accounts {
		if a.Name != account {
			continue
		}
		if a.Configured { // which is refused, and not asked
			return nil
		}
		what = fmt.Sprintf("version %d of account %s, of provider %s: %s", a.Version, account, a.Provider, a.LoginText(e.now()))
	}
	if revoke {
		what += ". Its login is ended at the broker first, and only if that is done it is removed with all that is stored of it"
	} else {
		what += ". It is removed with all that is stored of it; at the broker nothing is done (--revoke ends the login there first)"
	}
	if !e.asks() {
		return usageErrorf("%s. To remove it, add --yes", what)
	}
	if err := prose(e.stderr, "%s.\nRemove it for good? [y/N] ", what); err != nil {
		return err
	}
	answer, err := e.readLine()
	if word := strings.ToLower(answer); err == nil && word != "y" && word != "yes" {
		err = errors.New("nothing was removed")
	}
	return err
}

// forgotten says what was removed.
func forgotten(got control.ForgetAnswer, now time.Time) string {
	text := "what was stored of account " + got.Account + " is removed"
	if got.Attempts > 0 {
		text += ", with " + counted(got.Attempts, "attempt", "attempts") + " that nobody has settled"
	}
	if got.Unread > 0 {
		text += ", with " + counted(got.Unread, "answer", "answers") + " that nobody could read"
	}
	if !got.Revoked.IsZero() {
		return text + ". At the broker its login was ended " + moment.Text(got.Revoked, now, false)
	}
	was := control.ListedAccount{Version: got.Version, HasLogin: got.HadLogin, Way: got.Way, Expiry: got.Expiry, RefreshExpiry: got.RefreshExpiry}
	if got.HadLogin && got.Way != control.WayMint {
		text += ". At the broker nothing was done: " + was.LoginText(now) + ", unless somebody ends it at the broker's site"
	}
	return text
}
