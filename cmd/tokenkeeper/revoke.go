package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newRevokeCommand(e *env) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke ACCOUNT [--yes]",
		Short: "Have an account's broker end its login",
		Long: `Have the broker of an account end its login, for good: its refresh token is dead
then, nothing is refreshed, and only a login brings the account the next token.
To stop the refreshes alone, and go on later: tokenkeeper pause. A running
supervisor asks the broker. On a terminal it asks you first; elsewhere it needs
--yes.

Sinks keep the access token that they have; whether that lives to its end is the
broker's affair. So does a shared file; its refresh token is taken out, under
its lock. Nothing is revoked while another program holds the lock, or while the
file can't be read, or holds a newer token that the broker has not seen yet: the
error says what to do.

A refresh that is under way is heard out before. If the broker refuses, nothing
has changed. If it does not answer, or the supervisor dies meanwhile, nobody
knows whether the login is over: the token counts neither as dead nor as living,
and the next refresh finds out. To have that at once:
"tokenkeeper refresh ACCOUNT --force". Until then "tokenkeeper status" says so.

Some brokers end every login of the same client with it. Then the question names
the other accounts, and --yes agrees to that, too.

The provider must have such a call. Of Schwab and Saxo none is documented: there
the application's access is taken away in the broker's own settings.`,
		Example: "  tokenkeeper revoke acme-main --yes",
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			plan, err := c.RevokePlan(cmd.Context(), args[0])
			if err == nil && !yes {
				err = e.mayEnd(endText(plan))
			}
			if err != nil {
				return revokedByWhom(err)
			}
			got, err := c.Revoke(cmd.Context(), args[0], plan.Ends)
			switch {
			case err != nil:
				return revokedByWhom(cutOff(err, args[0], "find out: tokenkeeper refresh "+args[0]+" --force"))
			case e.json:
				return e.printJSON(got)
			}
			return e.print("%s: the broker has ended its login (it took %s): version %d is dead, and nothing is refreshed. %s. To use it again: tokenkeeper login %[1]s",
				got.Account, got.Took.Round(time.Millisecond), got.Version, keptText(got, e.now()))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "really end it, without a question")
	return cmd
}

// keptText says what consumers have of an access token whose login is over, and whose
// logins are over with it.
func keptText(got control.RevokeAnswer, now time.Time) string {
	text, end := "Sinks keep the access token that they have", ""
	if got.Expiry.After(now) {
		end = " " + moment.Text(got.Expiry, now, got.ExpiryUncertain)
	}
	switch {
	case end != "" && got.Ends == control.EndsToken:
		text += ", which lives until its end" + end
	case end != "":
		text += ", which may be dead before its end" + end
	}
	switch {
	case got.SharedFileError != "":
		text += ". The dead refresh token could not be taken out of the shared file, and that is tried again: " + got.SharedFileError
	case got.SharedFile != "":
		text += ". So does the shared file " + got.SharedFile + ", in which no refresh token stands any more"
	}
	if got.Ends == control.EndsClient {
		text += ". The broker has ended every other login of the same client, too"
		if len(got.Others) > 0 {
			text += ", which the next refreshes of these accounts find out: " + strings.Join(got.Others, ", ")
		}
	}
	return text
}

// endText says what a revocation would end.
func endText(plan control.RevokePlan) string {
	text := fmt.Sprintf("the login of account %s at its broker (provider %s, version %d) ends for good: nothing is refreshed any more, and somebody must log in again", plan.Account, plan.Provider, plan.Version)
	if plan.SharedFile != "" {
		text += ". Its refresh token is taken out of the shared file " + plan.SharedFile + ", and the programs that use that can't refresh any more, either"
	}
	if plan.Ends != control.EndsClient {
		return text
	}
	text += ". With it this broker ends EVERY login of the same client, also those that this machine does not know"
	if len(plan.Others) > 0 {
		return text + ", and so those of " + counted(len(plan.Others), "other account", "other accounts") + " here: " + strings.Join(plan.Others, ", ")
	}
	return text + "; no other account here is one of them"
}

// revokedByWhom says how a login is revoked while no supervisor runs: its provider's
// process alone can ask the broker.
func revokedByWhom(err error) error {
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w. A running supervisor asks the broker; without one nothing is revoked: start it (tokenkeeper run, or its service), and revoke then", err)
	}
	return err
}

// cutOff says what is known if the supervisor ended before it had answered: it may have
// asked the broker. next is what to do once one runs.
func cutOff(err error, account, next string) error {
	if !control.Ended(err) {
		return err
	}
	return control.Errorf(control.CodeOutcomeUnknown, "account %s: the supervisor ended before it had answered, and nobody knows whether its login is revoked. "+
		"Start it (tokenkeeper run, or its service), and %s", account, next)
}

// mayEnd asks a person at a terminal whether a login may be ended.
func (e *streams) mayEnd(what string) error {
	if !e.asks() {
		return usageErrorf("%s. To end it, add --yes", what)
	}
	if err := prose(e.stderr, "%s.\nEnd it? [y/N] ", what); err != nil {
		return err
	}
	answer, err := e.readLine()
	if word := strings.ToLower(answer); err == nil && word != "y" && word != "yes" {
		err = errors.New("nothing was revoked")
	}
	return err
}

// unknownRevocation says of an account that nobody knows whether its login is revoked, and
// what to do next.
func unknownRevocation(a control.Account, now time.Time) string {
	text := control.RevokeUnknownText(a.RevokeUnknown, now) + ": ask again (tokenkeeper revoke " + a.Name + "), or look in the broker's account page"
	if a.Way == control.WayLogin || a.Pause != nil { // by which nothing is sent
		return text
	}
	return text + "; the next refresh finds out, too (now: tokenkeeper refresh " + a.Name + " --force)"
}
