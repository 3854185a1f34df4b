package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"path"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newLoginCommand(e *env) *cobra.Command {
	var confirm, discard, cancel, noWait bool
	var shape string
	cmd := &cobra.Command{
		Use:   "login ACCOUNT [--cancel|--confirm|--discard]",
		Short: "Log in at the broker, for a first token or a new one",
		Long: `Log in at the broker. It prints an address to open in any browser, on any
machine. After the login the broker sends the browser to the account's
redirect_url, where usually nothing answers: copy the whole address that the
browser then shows and paste it here, before the code in it dies (some brokers
give it 30 seconds).

Some brokers want it otherwise, and then it says how: a token to paste
(paste_token), a code to type (verifier) or what the broker has posted to an
address of yours (callback), which are read from stdin too, or an approval
elsewhere (device, approval), for which the broker is asked again and again.
--shape takes another way than the usual one. --no-wait leaves the login
open: it goes on by itself, and the same command waits for it again.

The supervisor must run. It spends the code itself, and the answer is durable
before anything else happens.

There is one login of an account at a time, over restarts of the supervisor too:
asked again, it gives the same address. It is over after 15 minutes, when the
broker says so, or with --cancel. Until then the token is refreshed only if it
would die otherwise.

If the broker says that another person has logged in than before, that login
waits beside the account's own, which goes on being refreshed: --confirm puts
it in the other's place, --discard forgets it.`,
		Example: "  tokenkeeper login schwab-main",
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ends := confirm || discard || cancel
			if ends && (noWait || shape != "") {
				return usageErrorf("--shape and --no-wait are for a login that begins")
			}
			if confirm && discard || cancel && (confirm || discard) {
				return usageErrorf("give --confirm or --discard or --cancel, and one of them")
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			switch {
			case confirm:
				got, err := c.ConfirmLogin(cmd.Context(), args[0])
				return loggingIn{e}.loggedIn(got, err)
			case discard:
				return loggingIn{e}.discardLogin(cmd.Context(), c, args[0])
			case cancel:
				return loggingIn{e}.cancelLogin(cmd.Context(), c, args[0])
			}
			return loggingIn{e}.logIn(cmd.Context(), c, args[0], shape, noWait)
		},
	}
	cmd.Flags().StringVar(&shape, "shape", "", "how to log in: redirect, paste_address, paste_token, verifier, device, approval, callback")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "begin the login and leave it open")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "end the login that is open")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "take the login of another person, which waits")
	cmd.Flags().BoolVar(&discard, "discard", false, "forget the login of another person, which waits")
	return cmd
}

// begunLogin is what "login --json" prints on stderr, in one line, before it reads
// the address that the browser ends on.
type begunLogin struct {
	Login control.LoginAnswer `json:"login"`
}

// loggingIn is a login, as the person sees it who makes it.
type loggingIn struct{ *env }

// prompt says where to log in, and what is waited for if something is. It goes to
// stderr, because stdout has the outcome.
func (e loggingIn) prompt(begun control.LoginAnswer, waits bool) {
	if e.json {
		e.tell(control.InUTC(begunLogin{begun}))
		return
	}
	if begun.Earlier {
		_, _ = fmt.Fprintf(e.stderr, "A login of this account is open: %s. It is the account's only one; end it with: tokenkeeper login %s --cancel\n", openText(begun.OpenLogin, e.now()), begun.Account)
	}
	e.sendTo(begun)
	if waits || begun.Polled {
		e.askFor(begun)
	}
}

// loggedIn tells of a login whose token is in use now.
func (e loggingIn) loggedIn(got control.LoggedInAnswer, err error) error {
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(got)
	}
	now, person := e.now(), ""
	if got.Person != "" {
		person = "\n  person         " + got.Person
	}
	refresh := noRefreshToken(got.Way)
	if refresh == "" {
		refresh = "expires " + orNever(moment.Text(got.RefreshExpiry, now, false))
	}
	return e.print("%s: logged in as v%d%s\n  access token   expires %s\n  refresh token  %s", got.Account, got.Version, person,
		ending(got.Expiry, now, got.ExpiryUncertain), refresh)
}

func (e loggingIn) discardLogin(ctx context.Context, c *control.Client, account string) error {
	got, err := c.DiscardLogin(ctx, account)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(got)
	}
	return e.print("%s: the login of %s is forgotten, and the account is as it was", got.Account, got.Person)
}

func (e loggingIn) cancelLogin(ctx context.Context, c *control.Client, account string) error {
	got, err := c.CancelLogin(ctx, account)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(got)
	}
	return e.print("%s: the login (%s) is cancelled", got.Account, openText(got.OpenLogin, e.now()))
}

// openText says of a login that is open when it was begun, by whom, and until when it
// is open.
func openText(l control.OpenLogin, now time.Time) string {
	return fmt.Sprintf("begun %s by %s, open until %s", moment.Relative(l.BegunAt, now), callerText(l.By), moment.Text(l.Until, now, false))
}

// callerText names who has called the control API, and the program with which.
func callerText(by event.Caller) string {
	text := "user " + strconv.FormatUint(uint64(by.UID), 10)
	if u, err := user.LookupId(strconv.FormatUint(uint64(by.UID), 10)); err == nil {
		text = u.Username
	}
	if by.Program != "" {
		text += " with " + path.Base(by.Program)
	}
	return text
}

// unpolledText says why nobody is asked whether the person is done.
func unpolledText(why string) string {
	return "the broker is not asked now whether the login is done: " + why
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
