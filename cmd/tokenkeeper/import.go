package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/importing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// maxTokenFile bounds what import reads.
const maxTokenFile = 1 << 20

func newImportCommand(e *env) *cobra.Command {
	var req control.ImportRequest
	var loginTime, unit string
	cmd := &cobra.Command{
		Use:   "import ACCOUNT [FILE]",
		Short: "Take an account's first token from an existing token file",
		Long: `Take an account's first token from a token file that another program wrote.

FILE may be "-" for standard input. A refresh token is wanted; at a broker that
has none, an access token alone does. Its format is detected: our own,
schwab-py's, Schwabdev's, a Saxo bot's, Go's oauth2.Token, and what a token
endpoint answers. If a supervisor runs, it takes the token and goes on
with it; if not, the token is stored and the next "tokenkeeper run" goes on with
it.

A file that does not say when its access token ends is no obstacle: the token is
refreshed at once.

Where a login ends a fixed time after it was made (Schwab: 7 days), that moment
must be known, or nobody is called in time. If the file does not tell it,
--login-time does, in RFC 3339; also later, without FILE or with that of the
token that the account has: then nothing else changes.

Stop the other program first: two programs that refresh the same login lock
each other out.

The store of a service of systemd is for that service alone, whose user may not
exist while it does not run: --unit does it as the service.`,
		Example: `  tokenkeeper import schwab-main ~/bot/schwab_tokens.json
  tokenkeeper import schwab-main --login-time 2026-11-21T09:00:00Z
  tokenkeeper import schwab-main FILE --unit tokenkeeper.service`,
		Args: func(cmd *cobra.Command, args []string) error {
			if loginTime != "" && len(args) == 1 {
				return nil
			}
			return exactArgs("ACCOUNT", "FILE")(cmd, args)
		},
		ValidArgsFunction: e.completes(accountNames, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			if unit != "" {
				return e.importAsService(cmd, unit, args)
			}
			var err error
			req.Account = args[0]
			if req.LoginAt, err = parseLoginTime(loginTime); err != nil {
				return err
			}
			if len(args) > 1 {
				if req.Body, req.WrittenAt, err = e.readTokenFile(cmd.Context(), args[1]); err != nil {
					return err
				}
			}
			got, err := e.importToken(cmd.Context(), req)
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.printImported(got)
		},
	}
	cmd.Flags().StringVar(&req.Format, "format", "", "its format, such as schwab or oauth2 (default: detected)")
	cmd.Flags().StringVar(&loginTime, "login-time", "", "when you logged in, such as 2026-11-21T09:00:00Z\n(default: what the file says)")
	cmd.Flags().BoolVar(&req.Force, "force", false, "replace the token that the account has already")
	addUnitFlag(cmd, &unit)
	return cmd
}

// importAsService hands the file over as stdin: it need not be one that the service
// may read. What is typed is read here, where Ctrl-C is heard.
func (e *env) importAsService(cmd *cobra.Command, unit string, args []string) error {
	if len(args) < 2 {
		return e.asService(cmd, unit, e.stdin, args...)
	}
	if args[1] == "-" {
		stdin := e.stdin
		if terminal, ok := stdin.(*os.File); ok && isTerminal(terminal) {
			typed, err := e.readTyped(cmd.Context(), terminal)
			if err != nil {
				return err
			}
			stdin = bytes.NewReader(typed)
		}
		return e.asService(cmd, unit, stdin, args...)
	}
	f, err := os.Open(args[1])
	if err != nil {
		return noTokenFile(err)
	}
	defer func() { _ = f.Close() }()
	return e.asService(cmd, unit, f, args[0], "-")
}

func noTokenFile(err error) error {
	return fmt.Errorf("the token file can't be read: %w; name one that is there, or - for what comes on stdin", err)
}

// parseLoginTime reads the flag; zero: it was not given. Whether somebody can have
// logged in then is for those to say who know the broker.
func parseLoginTime(text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, usageErrorf("--login-time is a time in RFC 3339, with its zone, like 2026-11-21T09:00:00Z or 2026-11-21T10:00:00+01:00, not %q", text)
	}
	return at, nil
}

// readTokenFile returns what is in a token file, and when it was written; zero:
// nobody knows.
func (e *streams) readTokenFile(ctx context.Context, name string) (body []byte, written time.Time, err error) {
	in, what := e.stdin, "a stream"
	if name != "-" {
		// A pipe is read, as bash makes one of <(…), but none into which nobody writes is
		// waited for.
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, written, noTokenFile(err)
		}
		defer func() { _ = f.Close() }()
		if info, err := f.Stat(); err == nil {
			what = files.Kind(info.Mode())
		}
		in = f
	}
	if f, ok := in.(*os.File); ok {
		switch info, err := f.Stat(); {
		case err != nil:
		case info.Mode().IsRegular():
			written = info.ModTime()
		case info.Mode()&fs.ModeCharDevice != 0 && isTerminal(f):
			body, err := e.readTyped(ctx, f)
			return body, written, err
		}
	}
	body, err = io.ReadAll(io.LimitReader(in, maxTokenFile+1))
	switch {
	case err != nil:
		err = fmt.Errorf("reading the token file: %w", err)
	case len(body) > maxTokenFile:
		err = fmt.Errorf("%s is larger than %d bytes: it is no token file", name, maxTokenFile)
	case len(body) == 0 && what == files.Kind(fs.ModeNamedPipe):
		err = fmt.Errorf("%s is a pipe into which nobody writes: name a file, or - for what comes on stdin", name)
	case len(body) == 0:
		err = fmt.Errorf("%s is empty", name)
	}
	return body, written, err
}

// readTyped takes a token file that a person pastes.
func (e *streams) readTyped(ctx context.Context, terminal *os.File) ([]byte, error) {
	if !e.json {
		_ = prose(e.stderr, "Paste the token file, then press Ctrl-D on a line of its own; it is not shown here:")
	}
	typed, err := hidden(ctx, terminal, func(in io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxTokenFile)) })
	switch {
	case wasCut(typed):
		return nil, fmt.Errorf("%w: nothing was changed. Put it into a file, and name that", errCut)
	case strings.TrimSpace(typed) == "":
		return nil, errors.Join(errors.New("no token file was pasted: nothing was changed"), ignoreEOF(err))
	}
	return []byte(typed), err
}

// importToken gives the file to the supervisor, or to the store if none runs.
// The store's own lock keeps the second way from meeting a supervisor whose
// socket was missed.
func (e *env) importToken(ctx context.Context, req control.ImportRequest) (control.ImportAnswer, error) {
	c, err := e.client()
	if err != nil {
		return control.ImportAnswer{}, err
	}
	defer c.Close()
	got, err := c.Import(ctx, req)
	if err == nil {
		return got, nil
	}
	cfg, err := unsupervised(ctx, e, err)
	if err != nil {
		return got, err
	}
	var known *sdk.Description
	if c, ok := cfg.Accounts[req.Account]; ok {
		known = e.described(ctx, cfg, c.Provider)
	}
	return importing.Offline(ctx, cfg, req, known)
}

// described is what a provider says of itself. One that is not built in is started for
// a moment, as "check" does. nil: it can't be asked, and a person was told why: a token
// can be taken all the same, as far as nothing depends on what kind it is.
func (e *env) described(ctx context.Context, cfg *config.Config, name string) *sdk.Description {
	p, ok := describeBuiltin(ctx, cfg, name)
	if !ok {
		p = inspect(ctx, cfg, name)
	}
	if p.Error != "" {
		e.warn("provider %s could not be asked how its tokens live: %s", name, p.Error)
		return nil
	}
	return &p.description
}

// importedAccess says when the access token dies, and what comes of that.
func importedAccess(got control.ImportAnswer, now time.Time) string {
	end := moment.Text(got.Expiry, now, got.ExpiryUncertain)
	unknown, dead := "refreshed at once", "refreshed at once"
	switch got.Way {
	case control.WayRenew:
		unknown, dead = "renewed at once", "too late to renew it"
	case control.WayMint:
		unknown, dead = "another one is minted at once", "another one is minted at once"
	case control.WayLogin:
		unknown, dead = "served until the broker refuses it", ""
	}
	switch {
	case got.Expiry.IsZero():
		return "expiry unknown: " + unknown
	case !got.Expiry.After(now):
		return strings.TrimSuffix("expired "+end+": "+dead, ": ")
	}
	return "expires " + end
}

func (e *env) printImported(got control.ImportAnswer) error {
	now := e.now()
	headline := fmt.Sprintf("%s: imported as v%d (format %s)", got.Account, got.Version, got.Format)
	if got.LoginTimeOnly {
		headline = fmt.Sprintf("%s: the login's time is noted, as v%d; its token is the same", got.Account, got.Version)
	}
	if err := e.print("%s", headline); err != nil {
		return err
	}
	if got.LoginTimeOnly {
		if err := e.print("  logged in      %s", moment.Text(got.LoginAt, now, false)); err != nil {
			return err
		}
	}
	if err := e.print("  access token   %s", importedAccess(got, now)); err != nil {
		return err
	}
	deadline := "expires " + moment.Text(got.RefreshExpiry, now, got.RefreshExpiryUncertain)
	switch none := noRefreshToken(got.Way); {
	case none != "":
		deadline = none
	case got.RefreshExpiryUnknown:
		deadline = "expires at a time that nobody knows"
	case got.RefreshExpiry.IsZero():
		deadline = "expires at a time that the file does not tell"
	}
	if err := e.print("  refresh token  %s", deadline); err != nil {
		return err
	}
	for _, w := range got.Warnings {
		e.warn("%s", w)
	}
	if got.ExpiryUncertain && !got.LoginTimeOnly && len(got.Warnings) == 0 && !got.Expiry.IsZero() {
		e.warn("the access token's expiry is uncertain: the file tells a lifetime, and no moment from which it counts; " +
			"it is counted from when the file was written, or from now.")
	}
	if got.Advice != "" {
		e.warn("%s", got.Advice)
	}
	if got.RefreshExpiryUncertain && noRefreshToken(got.Way) == "" {
		e.warn("the refresh token's deadline is uncertain: it is derived from the file's time stamp, " +
			"which some programs reset at each refresh and the next login sets right, or from what the broker does not document. It may come earlier.")
	}
	return nil
}
