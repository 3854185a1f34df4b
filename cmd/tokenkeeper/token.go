package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newTokenCommand(e *env) *cobra.Command {
	var expired, header bool
	cmd := &cobra.Command{
		Use:   "token ACCOUNT [--header] [--allow-expired]",
		Short: "Print one account's access token, for scripts",
		Long: `Print one account's access token and nothing else.

With --header it prints the header that a request carries, for programs that
read headers from their standard input: everybody on the machine can read a
program's arguments, so a token must never be one of them.

An expired token is refused unless --allow-expired is given.`,
		Example: `  tokenkeeper token schwab-main --header | curl -H @- https://…`,
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if header && e.json {
				return &exitError{exitUsage, errors.New("--header and --json exclude each other: name one of them")}
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Token(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if now := e.now(); !got.Expiry.IsZero() && !got.Expiry.After(now) && !expired {
				return fmt.Errorf("the access token of %s expired %s: \"tokenkeeper status\" says why; --allow-expired prints it all the same",
					got.Account, moment.Text(got.Expiry, now, got.ExpiryUncertain))
			}
			switch {
			case e.json:
				return e.printJSON(got)
			case header:
				line, err := authorization(got)
				if err != nil {
					return err
				}
				return e.write(line + "\n")
			}
			text, err := printable(got)
			if err != nil {
				return err
			}
			return e.write(text + "\n")
		},
	}
	cmd.Flags().BoolVar(&header, "header", false, "print \"Authorization: Bearer …\", for curl -H @-")
	cmd.Flags().BoolVar(&expired, "allow-expired", false, "print it also if it has expired")
	return cmd
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
