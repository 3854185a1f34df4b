package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/backend"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

func newPauseCommand(e *env) *cobra.Command {
	var all bool
	var req control.PauseRequest
	cmd := &cobra.Command{
		Use:   "pause ACCOUNT…|--all [--for D] [--reason TEXT]",
		Short: "Ask nothing of an account's broker until it is resumed",
		Long: `Ask nothing of an account's broker until "tokenkeeper resume": no refresh, no
mint, no call that keeps a session alive. What was sent before is heard out.

The account's token goes on being served and delivered while it lives, and
nothing renews it. A newer token that another program puts into its shared file
is taken. What you do yourself goes on: login, with the questions to the broker
whether you are done, import, and refresh --force, after which the account is
paused as before.

A pause outlives restarts, reloads, and that the account is taken out of the
configuration and put back. An older version of Tokenkeeper does not know it.
With --for it is over by itself. To pause what is paused changes its end, and
its reason if one is given. --all are the accounts that are configured now; one
that comes later is not paused. It works with a running supervisor and without.`,
		Example: `  tokenkeeper pause schwab-main --reason "the broker moves"
  tokenkeeper pause --all --for 2h`,
		Args:              someOrAll(&all),
		ValidArgsFunction: e.completesAll(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && req.For <= 0 {
				return usageErrorf("say for how long, e.g. --for 2h")
			}
			return aboutSome(cmd.Context(), e, args, pausing{e, req})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every account that is configured")
	cmd.Flags().DurationVar(&req.For, "for", 0, "resume by itself after this `duration`")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for whoever looks at the status")
	return cmd
}

func newResumeCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "resume ACCOUNT…|--all",
		Short: "Let a paused account go on",
		Long: `Let a paused account go on as if it had never been paused: if it is due it is
refreshed at once, and of many as many at a time as always (max_in_flight). It
works with a running supervisor and without.`,
		Example:           "  tokenkeeper resume schwab-main\n  tokenkeeper resume --all",
		Args:              someOrAll(&all),
		ValidArgsFunction: e.completesAll(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aboutSome(cmd.Context(), e, args, resuming{e})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every account that is configured")
	return cmd
}

// someOrAll wants accounts, or --all, and not both.
func someOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return usageErrorf("name accounts or give --all, not both: %s", cmd.UseLine())
		case !*all && len(args) == 0:
			return usageErrorf("which account? %s", cmd.UseLine())
		}
		if slices.Contains(args, "") {
			return usageErrorf("an account is named by nothing: %s", cmd.UseLine())
		}
		return nil
	}
}

// course is what becomes of some accounts: they are paused, or resumed.
type course[T any] interface {
	// one asks the supervisor for it, of one account, and every of all.
	one(ctx context.Context, c *control.Client, account string) (T, error)
	every(ctx context.Context, c *control.Client) ([]T, error)
	// stored changes it in the store, of some or, if none is named, of all.
	stored(ctx context.Context, cfg *config.Config, accounts []string) ([]T, error)
	// document is what programs get of what has come of it, line what people are told of
	// one account, and many of many.
	document(all []T) any
	line(one T) string
	many(all []T) string
}

// aboutSome asks the supervisor, or changes the store if none runs, and shows what has come
// of it.
func aboutSome[T any](ctx context.Context, e *env, accounts []string, what course[T]) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := answersOf(ctx, c, accounts, what)
	if len(all) == 0 && errors.Is(err, control.ErrNotRunning) {
		cfg, err := unsupervised(ctx, e, err)
		if err != nil {
			return err
		}
		if all, err = what.stored(ctx, cfg, accounts); err != nil {
			return err
		}
		return showAll(e, all, what)
	}
	if len(all) == 0 && err != nil {
		return err
	}
	return errors.Join(showAll(e, all, what), err)
}

// answersOf is what the supervisor has made of some accounts, or of all if none is named. One
// with which it fails keeps no other one from its turn.
func answersOf[T any](ctx context.Context, c *control.Client, accounts []string, what course[T]) (all []T, err error) {
	if len(accounts) == 0 {
		return what.every(ctx, c)
	}
	var failed []error
	for _, name := range accounts {
		one, err := what.one(ctx, c, name)
		switch {
		case errors.Is(err, control.ErrNotRunning):
			return all, err
		case err != nil:
			failed = append(failed, err)
		default:
			all = append(all, one)
		}
	}
	return all, errors.Join(failed...)
}

func showAll[T any](e *env, all []T, show course[T]) error {
	switch {
	case e.json:
		return e.printJSON(show.document(all))
	case len(all) == 0:
		return e.print("the configuration has no accounts")
	case len(all) > manyAccounts:
		return e.print("%s", show.many(all))
	}
	for _, one := range all {
		if err := e.print("%s", show.line(one)); err != nil {
			return err
		}
	}
	return nil
}

// pausing are accounts that are paused.
type pausing struct {
	*env
	req control.PauseRequest
}

func (e pausing) one(ctx context.Context, c *control.Client, account string) (control.PauseAnswer, error) {
	req := e.req
	req.Account = account
	return c.Pause(ctx, req)
}

func (e pausing) every(ctx context.Context, c *control.Client) ([]control.PauseAnswer, error) {
	got, err := c.PauseAll(ctx, e.req)
	return got.Accounts, err
}

func (e pausing) stored(ctx context.Context, cfg *config.Config, accounts []string) ([]control.PauseAnswer, error) {
	req := e.req
	req.By = event.Caller{UID: uint32(os.Geteuid()), PID: int32(os.Getpid())}
	program, _ := os.Executable()
	req.By.Program = strings.Trim(fmt.Sprintf("%q", program), `"`) // as a supervisor notes it
	all, err := backend.PauseStored(ctx, cfg, accounts, req, e.now())
	var done []event.Event
	for _, p := range all {
		done = append(done, event.Event{
			Type: event.Paused, Account: p.Account, Provider: cfg.Accounts[p.Account].Provider,
			Message: refresh.PausedText(p.Account, p.Pause),
		})
	}
	e.noteAside(cfg.StateDir, e.now(), done...)
	return all, err
}

func (pausing) document(all []control.PauseAnswer) any {
	return control.PauseAnswers{Accounts: append([]control.PauseAnswer{}, all...)}
}

func (e pausing) line(p control.PauseAnswer) string {
	text := p.Account + ": paused"
	if p.Already {
		text = p.Account + ": was paused already, " + byWhom(p.Pause, e.now())
	}
	text += ": nothing is asked of its broker before " + untilWhen(p.Pause, p.Account, e.now())
	if p.InFlight {
		text += "; what was sent before is heard out"
	}
	return text
}

func (e pausing) many(all []control.PauseAnswer) string {
	already := 0
	for _, p := range all {
		if p.Already {
			already++
		}
	}
	text := fmt.Sprintf("%d accounts are paused", len(all))
	if already > 0 {
		text += fmt.Sprintf(", %d of them were before", already)
	}
	return text + ": nothing is asked of their brokers before " + untilWhen(all[0].Pause, "--all", e.now())
}

// resuming are accounts that go on.
type resuming struct{ *env }

func (resuming) one(ctx context.Context, c *control.Client, account string) (control.ResumeAnswer, error) {
	return c.Resume(ctx, account)
}

func (resuming) every(ctx context.Context, c *control.Client) ([]control.ResumeAnswer, error) {
	got, err := c.ResumeAll(ctx)
	return got.Accounts, err
}

func (e resuming) stored(ctx context.Context, cfg *config.Config, accounts []string) ([]control.ResumeAnswer, error) {
	all, err := backend.ResumeStored(ctx, cfg, accounts)
	var done []event.Event
	for _, r := range all {
		if r.Resumed {
			done = append(done, event.Event{
				Type: event.Resumed, Account: r.Account, Provider: cfg.Accounts[r.Account].Provider,
				Message: fmt.Sprintf("resumed by user %d; it was %s", os.Geteuid(), refresh.PauseText(*r.Pause)),
			})
		}
	}
	e.noteAside(cfg.StateDir, e.now(), done...)
	return all, err
}

func (resuming) document(all []control.ResumeAnswer) any {
	return control.ResumeAnswers{Accounts: append([]control.ResumeAnswer{}, all...)}
}

func (e resuming) line(r control.ResumeAnswer) string {
	if !r.Resumed {
		return r.Account + ": was not paused"
	}
	if r.Due.IsZero() { // no supervisor runs, or the status says why
		return r.Account + ": resumed"
	}
	return fmt.Sprintf("%s: resumed; the next refresh is %s", r.Account, next(r.Due, e.now()))
}

func (e resuming) many(all []control.ResumeAnswer) string {
	resumed := 0
	for _, r := range all {
		if r.Resumed {
			resumed++
		}
	}
	return fmt.Sprintf("%d of %d accounts were paused, and go on", resumed, len(all))
}

// byWhom says since when a pause holds, by whom and why.
func byWhom(p control.Pause, now time.Time) string {
	text := "since " + moment.Text(p.Since, now, false) + " by " + callerText(p.By)
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

// untilWhen says what ends a pause of that account.
func untilWhen(p control.Pause, account string, now time.Time) string {
	by := "tokenkeeper resume " + account
	if p.Until.IsZero() {
		return by
	}
	return moment.Text(p.Until, now, false) + ", or " + by
}
