package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// handedIn is what a person brings back from a login of a shape, in words.
func handedIn(shape string) string {
	switch sdk.LoginShape(shape) {
	case sdk.LoginPasteToken:
		return "token"
	case sdk.LoginVerifier:
		return "code"
	case sdk.LoginCallback:
		return "post"
	}
	return "address"
}

// logIn begins a login, or goes on with the one that is open, and waits for its end.
func (e loggingIn) logIn(ctx context.Context, c *control.Client, account, shape string, noWait bool) error {
	begun, err := c.Login(ctx, account, shape)
	if err != nil {
		return err
	}
	if noWait {
		return e.leaveOpen(begun)
	}
	e.prompt(begun, true)
	if begun.Polled {
		return e.awaitLogin(ctx, c, begun)
	}
	line, err := e.readHandedIn(ctx, begun)
	if errors.Is(err, errCut) {
		return fmt.Errorf("%w: nothing was changed. Put the %s into a file and hand that in: tokenkeeper login %s <FILE; %s",
			err, handedIn(begun.Shape), account, e.staysOpen(begun))
	}
	if line == "" {
		return errors.Join(fmt.Errorf("no %s was pasted: nothing was changed, and %s", handedIn(begun.Shape), e.staysOpen(begun)), ignoreEOF(err))
	}
	got, err := c.CompleteLogin(ctx, account, line)
	return e.loggedIn(got, err)
}

// staysOpen says how a login goes on that nobody waits for.
func (e loggingIn) staysOpen(begun control.LoginAnswer) string {
	return fmt.Sprintf("the login stays open until %s; go on with: tokenkeeper login %s, or end it with --cancel", moment.Text(begun.Until, e.now(), false), begun.Account)
}

// leaveOpen tells of a login that is open, for who goes on with it later.
func (e loggingIn) leaveOpen(begun control.LoginAnswer) error {
	if e.json {
		return e.printJSON(begun)
	}
	e.prompt(begun, false)
	return e.print("%s: %s", begun.Account, e.staysOpen(begun))
}

// sendTo says where a person goes for a login of a shape. Lines hold no more than one
// address or code, so that it can be copied.
func (e loggingIn) sendTo(begun control.LoginAnswer) {
	say := func(format string, args ...any) { _ = prose(e.stderr, format, args...) }
	if begun.Address != "" {
		logIn := " and log in"
		if begun.Polled || begun.Shape == string(sdk.LoginCallback) {
			logIn = ""
		}
		say("Open this address%s:\n", logIn)
		_, _ = fmt.Fprintf(e.stderr, "  %s\n\n", begun.Address)
	}
	if begun.UserCode != "" {
		say("The code that belongs there:\n\n  %s\n", begun.UserCode)
	}
	if begun.Instructions != "" {
		say("%s\n", begun.Instructions)
	}
}

// askFor says what is waited for.
func (e loggingIn) askFor(begun control.LoginAnswer) {
	say := func(format string, args ...any) { _ = prose(e.stderr, format, args...) }
	switch {
	case begun.Polled && begun.Unpolled != "":
		say("%s. Until %s this login is open.", unpolledText(begun.Unpolled), moment.Text(begun.Until, e.now(), false))
	case begun.Polled:
		say("The broker is asked until you are done, at most until %s.", moment.Text(begun.Until, e.now(), false))
	case begun.Shape == string(sdk.LoginPasteToken):
		say("Then paste the token that the broker shows; it is not shown here:")
	case begun.Shape == string(sdk.LoginVerifier):
		say("Then type the code that the broker shows:")
	case begun.Shape == string(sdk.LoginCallback):
		say("The broker posts to the address that it knows of you. Paste the body of that post, in one line, or give it on stdin; it is not shown here:")
	default:
		say("Then paste the whole address that the browser shows:")
	}
}

// readHandedIn reads one line, or a whole post that does not come from a terminal. What
// holds a token is not shown while it is typed.
func (e loggingIn) readHandedIn(ctx context.Context, begun control.LoginAnswer) (line string, err error) {
	posted := begun.Shape == string(sdk.LoginCallback)
	f, typed := e.stdin.(*os.File)
	typed = typed && isTerminal(f)
	switch {
	case typed && (posted || begun.Shape == string(sdk.LoginPasteToken)):
		line, err = hidden(ctx, f, firstLine)
	case posted:
		var body []byte
		body, err = io.ReadAll(io.LimitReader(e.stdin, maxTokenFile))
		line = string(body)
	default:
		var first []byte
		first, err = firstLine(e.stdin)
		line = string(first)
	}
	if typed && wasCut(line) {
		return "", errCut
	}
	return strings.TrimSpace(line), err
}

func firstLine(in io.Reader) ([]byte, error) {
	return bufio.NewReader(io.LimitReader(in, maxTokenFile)).ReadBytes('\n')
}

// awaitLogin waits until a login that is polled is over.
func (e loggingIn) awaitLogin(ctx context.Context, c *control.Client, begun control.LoginAnswer) error {
	told := begun.Unpolled
	ctx, cancel := untilEnded(ctx)
	defer cancel()
	for {
		got, err := c.AwaitLogin(ctx, begun.Account, begun.ID)
		switch {
		case ctx.Err() != nil:
			return errors.New("nobody waits any more: " + e.staysOpen(begun))
		case err != nil && (errors.Is(err, control.ErrNotRunning) || control.Ended(err)):
			return fmt.Errorf("%w. The login itself goes on when it runs again: %s", err, e.staysOpen(begun))
		case err != nil:
			return err
		case got.LoggedIn != nil:
			return e.loggedIn(*got.LoggedIn, nil)
		case got.Unpolled != told:
			if told = got.Unpolled; told != "" {
				_ = prose(e.stderr, "%s", unpolledText(told))
			}
		}
	}
}
