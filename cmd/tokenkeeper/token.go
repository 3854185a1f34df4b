package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// tokenWish is which token of an account somebody wants.
type tokenWish struct {
	*env
	control.TokenRequest
	// asIs: the newest, whatever it is good for, or with expired an expired one, too.
	asIs, expired bool
	// shorter: one that lives for less than MinValid will do if no other can be had.
	shorter bool
}

func newTokenCommand(e *env) *cobra.Command {
	var header bool
	wish := tokenWish{env: e}
	cmd := &cobra.Command{
		Use:   "token ACCOUNT [--header] [--min-valid D] [--if-version N]",
		Short: "Print one account's access token, for scripts",
		Long: `Print one account's access token and nothing else.

With --header it prints the header that a request carries, for programs that
read headers from their standard input: everybody on the machine can read a
program's arguments, so a token must never be one of them.

An expired token is refused unless --allow-expired is given.

With --min-valid the token lives for longer than that: unless the newest one
does, the account is refreshed first. --if-version names the version of a token
that the broker's API has refused (--json shows it): a newer one is printed, and
if there is none yet, the account is refreshed. Whoever asks meanwhile shares
that refresh. There is one in a minute at most, and none before a pause is over
that the broker has asked for, or beyond its limit. --allow-shorter prints the
newest token, with a warning, if no such token can be had and it has not
expired.

Exit code, where nothing is printed: with --min-valid or --if-version 3 where it
is worth asking again later (in a pause, within a minute of the last refresh, or
while no supervisor answers), 4 where it takes a person, and 1 otherwise (no
token lives so long). Without them always 1: it has expired, there is none, or
no supervisor answers.`,
		Example: `  tokenkeeper token schwab-main --header | curl -H @- https://…
  tokenkeeper token schwab-main --min-valid 5m
  tokenkeeper token schwab-main --if-version 41 --json`,
		Args: exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := cmd.Flags()
			wish.Account, wish.asIs = args[0], !flags.Changed("min-valid") && !flags.Changed("if-version")
			if err := wish.check(header && e.json, flags.Changed("min-valid"), flags.Changed("if-version")); err != nil {
				return err
			}
			c, err := e.client()
			if usage := (*exitError)(nil); err != nil && !wish.asIs && !errors.As(err, &usage) {
				return &exitError{exitLater, err} // one that runs does not answer now
			}
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := wish.get(cmd.Context(), c)
			if err != nil {
				return err
			}
			return wish.show(got, header)
		},
	}
	cmd.Flags().BoolVar(&header, "header", false, "print \"Authorization: Bearer …\", for curl -H @-")
	cmd.Flags().BoolVar(&wish.expired, "allow-expired", false, "print it also if it has expired")
	cmd.Flags().DurationVar(&wish.MinValid, "min-valid", 0, "refresh first unless it lives for longer than this `duration`")
	cmd.Flags().Uint64Var(&wish.IfVersion, "if-version", 0, "a newer one than this `version`, which was refused")
	cmd.Flags().BoolVar(&wish.shorter, "allow-shorter", false, "with --min-valid: print what there is if that can't be had")
	return cmd
}

// check says which options do not go together.
func (w tokenWish) check(headerAndJSON, minValid, ifVersion bool) error {
	switch {
	case headerAndJSON:
		return usageErrorf("--header and --json exclude each other: name one of them")
	case w.MinValid < 0:
		return usageErrorf("--min-valid is how long the token shall live from now on, and can't be negative")
	case ifVersion && w.IfVersion == 0:
		return usageErrorf("--if-version is the version of the token that was refused, from 1 on")
	case w.expired && !w.asIs:
		return usageErrorf("--allow-expired is for the token as it is, and excludes --min-valid and --if-version")
	case w.shorter && (!minValid || ifVersion):
		return usageErrorf("--allow-shorter goes with --min-valid, and not with --if-version: a token that was refused is of no use")
	}
	return nil
}

// get gets the token.
func (w tokenWish) get(ctx context.Context, c *control.Client) (control.TokenAnswer, error) {
	if w.asIs {
		return w.newest(ctx, c)
	}
	got, err := c.UsableToken(ctx, w.TokenRequest)
	if err == nil || !w.shorter || !answeredBySupervisor(err) {
		return got, unusable(err)
	}
	if got, none := w.newest(ctx, c); none == nil {
		w.warn("%v; this one expires %s", err, moment.Text(got.Expiry, w.now(), got.ExpiryUncertain))
		return got, nil
	}
	return control.TokenAnswer{}, unusable(err)
}

// newest is the newest token, if it has not expired or may have.
func (w tokenWish) newest(ctx context.Context, c *control.Client) (control.TokenAnswer, error) {
	got, err := c.Token(ctx, w.Account)
	if err != nil {
		return control.TokenAnswer{}, err
	}
	if now := w.now(); !w.expired && !got.Expiry.IsZero() && !got.Expiry.After(now) {
		return control.TokenAnswer{}, fmt.Errorf("the access token of %s expired %s: \"tokenkeeper status\" says why; --allow-expired prints it all the same",
			got.Account, moment.Text(got.Expiry, now, got.ExpiryUncertain))
	}
	return got, nil
}

// answeredBySupervisor says whether a call has failed by the supervisor's word.
func answeredBySupervisor(err error) bool {
	_, ok := errors.AsType[*control.Error](err)
	return ok
}

// unusable gives the failure of a verb that gets a token for a program the exit code by
// which that knows what to do.
func unusable(err error) error {
	if errors.Is(err, control.ErrNotRunning) || control.Ended(err) {
		return &exitError{exitLater, err}
	}
	refused, ok := errors.AsType[*control.Error](err)
	if !ok {
		return err
	}
	switch refused.Code {
	case control.CodeNotYet, control.CodeUnavailable:
		return &exitError{exitLater, err}
	case control.CodePaused:
		if !refused.RetryAt.IsZero() { // it is over by itself
			return &exitError{exitLater, err}
		}
		return &exitError{exitPerson, err}
	case control.CodeNeedsLogin, control.CodeNeedsPerson, control.CodeNoToken:
		return &exitError{exitPerson, err}
	}
	return err
}

// show prints the token, or the header that carries it, or with --json what is known of
// it.
func (w tokenWish) show(got control.TokenAnswer, header bool) error {
	if w.json {
		return w.printJSON(got)
	}
	form := printable
	if header {
		form = authorization
	}
	text, err := form(got)
	if err != nil {
		return err
	}
	return w.write(text + "\n")
}

// printable is the token itself, if no terminal takes a part of it for a command.
func printable(t control.TokenAnswer) (string, error) {
	if strings.ContainsFunc(t.AccessToken, unicode.IsControl) {
		return "", fmt.Errorf("the access token of %s holds control characters, which a terminal would obey; \"tokenkeeper token %[1]s --json\" shows it as it is", t.Account)
	}
	return t.AccessToken, nil
}

// authorization is the header that carries the token (RFC 6750, section 2.1).
// Brokers write the type in any case, and some leave it out; resource servers
// are known that want "Bearer" exactly so.
func authorization(t control.TokenAnswer) (string, error) {
	scheme := t.TokenType
	if scheme == "" || strings.EqualFold(scheme, "Bearer") {
		scheme = "Bearer"
	}
	for _, part := range []string{scheme, t.AccessToken} {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("the access token of %s can't stand in a header: it or its type is empty, or holds a character that no header may hold (RFC 6750, section 2.1); "+
				"\"tokenkeeper token %[1]s --json\" shows it as it is", t.Account)
		}
	}
	return "Authorization: " + scheme + " " + t.AccessToken, nil
}
