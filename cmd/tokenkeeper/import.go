package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// maxTokenFile bounds what import reads.
const maxTokenFile = 1 << 20

func newImportCommand(e *env) *cobra.Command {
	var format string
	var force bool
	cmd := &cobra.Command{
		Use:   "import ACCOUNT FILE",
		Short: "Take an account's first token from an existing token file",
		Long: `Take an account's first token from a token file that another program wrote.

FILE may be "-" for standard input. Its format is detected. If a supervisor
runs, it takes the token and goes on with it; if not, the token is stored and
the next "tokenkeeper run" goes on with it.

Stop the other program first: two programs that refresh the same login lock
each other out.`,
		Example: "  tokenkeeper import schwab-main ~/bot/schwab_tokens.json",
		Args:    exactArgs("ACCOUNT", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := e.readTokenFile(args[1])
			if err != nil {
				return err
			}
			got, err := e.importToken(cmd.Context(), args[0], format, force, body)
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.printImported(got)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "its format: json, schwab, schwab-py or saxo-cache (default: detected)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the token that the account has already")
	return cmd
}

func (e *env) readTokenFile(name string) ([]byte, error) {
	in := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the token file: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxTokenFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the token file: %w", err)
	case len(body) > maxTokenFile:
		return nil, fmt.Errorf("%s is larger than %d bytes: it is no token file", name, maxTokenFile)
	case len(body) == 0:
		return nil, fmt.Errorf("%s is empty", name)
	}
	return body, nil
}

// importToken gives the file to the supervisor, or to the store if none runs.
// The store's own lock keeps the second way from meeting a supervisor whose
// socket was missed.
func (e *env) importToken(ctx context.Context, account, format string, force bool, body []byte) (control.ImportAnswer, error) {
	c, err := e.client()
	if err != nil {
		return control.ImportAnswer{}, err
	}
	defer c.Close()
	got, err := c.Import(ctx, account, format, force, body)
	if !errors.Is(err, control.ErrNotRunning) || e.socket != "" {
		return got, err
	}
	cfg, err := e.load()
	if err != nil {
		return control.ImportAnswer{}, err
	}
	if state := checkStateDir(ctx, cfg); !state.OK {
		return control.ImportAnswer{}, usageErrorf("the state directory %s %s", state.Path, state.State)
	}
	return supervisor.Import(ctx, cfg, account, format, force, body)
}

func (e *env) printImported(got control.ImportAnswer) error {
	now := e.now()
	if err := e.print("%s: imported as v%d (format %s)", got.Account, got.Version, got.Format); err != nil {
		return err
	}
	if err := e.print("  access token   expires %s", moment(got.Expiry, now, false)); err != nil {
		return err
	}
	deadline := "expires " + moment(got.RefreshExpiry, now, got.RefreshExpiryUncertain)
	if got.RefreshExpiry.IsZero() {
		deadline = "expires at a time that the file does not tell"
	}
	if err := e.print("  refresh token  %s", deadline); err != nil {
		return err
	}
	if got.RefreshExpiryUncertain {
		_, _ = fmt.Fprintf(e.stderr, "tokenkeeper: warning: the refresh token's deadline is uncertain: it is derived from the file's time stamp,\n"+
			"which some programs reset at each refresh. It may come earlier; the next login sets it right.\n")
	}
	return nil
}
