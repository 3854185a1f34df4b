package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// usualVariable is where a program finds the token of its only account.
const usualVariable = config.EnvAccessToken

// reaction is what is done about a program when a new token has come.
type reaction struct {
	restart bool
	signal  syscall.Signal // 0: none is sent
}

// String, Set and Type make it the value of an option.
func (r *reaction) String() string {
	switch {
	case r.restart:
		return "restart"
	case r.signal != 0:
		return "signal=" + strings.TrimPrefix(unix.SignalName(r.signal), "SIG")
	}
	return "nothing"
}

func (r *reaction) Set(text string) error {
	name, ok := strings.CutPrefix(text, "signal=")
	signal := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	switch {
	case text == "restart":
		*r = reaction{restart: true}
	case text == "nothing":
		*r = reaction{}
	case ok && signal != 0 && signal != syscall.SIGKILL && signal != syscall.SIGSTOP:
		*r = reaction{signal: signal}
	default:
		return fmt.Errorf("it is restart, nothing, or signal= and the name of a signal that programs can catch, like signal=HUP")
	}
	return nil
}

func (r *reaction) Type() string { return "reaction" }

// place is where a program finds the token of an account.
type place struct{ account, variable string }

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// placesOf reads ACCOUNT or ACCOUNT=VARIABLE of each account.
func placesOf(accounts []string, inFiles bool) ([]place, error) {
	var all []place
	for _, text := range accounts {
		account, variable, named := strings.Cut(text, "=")
		switch {
		case account == "":
			return nil, usageErrorf("-a %q names no account", text)
		case !named && len(accounts) == 1:
			variable = usualVariable
		case !named:
			variable = usualVariable + "_" + strings.ToUpper(regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(account, "_"))
		case !variableName.MatchString(variable):
			return nil, usageErrorf("-a %s: %q is no name of an environment variable", text, variable)
		}
		if !named && inFiles {
			variable += "_FILE"
		}
		if slices.ContainsFunc(all, func(p place) bool { return p.account == account || p.variable == variable }) {
			return nil, usageErrorf("-a %s: the account, or the variable %s, is named twice; name a variable of its own: -a %s=NAME", text, variable, account)
		}
		all = append(all, place{account, variable})
	}
	if len(all) == 0 {
		return nil, usageErrorf("-a is missing: name the account whose token the program gets")
	}
	return all, nil
}

func newExecCommand(e *env) *cobra.Command {
	var accounts []string
	var timeout, minValid time.Duration
	x := &execution{env: e}
	cmd := &cobra.Command{
		Use:   "exec -a ACCOUNT [-a …] [--fd] [--on-new WHAT] -- PROGRAM [ARG…]",
		Short: "Run a program with accounts' tokens in its environment",
		Long: `Run a program with the access token of an account in its environment, as
TOKENKEEPER_ACCESS_TOKEN. "-a ACCOUNT=NAME" names the variable; of several
accounts it ends with the account's name, like …_SCHWAB_MAIN. The program starts
when each account has a valid token, as after "tokenkeeper wait".

Of the other variables that begin with TOKENKEEPER_, which may hold secrets of
the configuration, it gets none but TOKENKEEPER_CONFIG. What is in its
environment can be read by all that it runs, by its user and by root. With --fd
it gets an open file with the token instead, and the variable, whose name ends
with _FILE, holds its path, /dev/fd/3. The file always has the newest token, in
one line. All that the program runs can read that, too, unless it closes it.

--on-new says what is done when a new token has come: nothing; restart, by
SIGTERM, and SIGKILL after --stop-within; or signal=HUP and its like, which
takes --fd.

The program is run by who runs this: root, the supervisor's own user, or a
reader (control.readers in the configuration); with fewer rights it runs
through setpriv, as below. Signals are handed on; a unit of systemd needs
KillMode=mixed, or the program gets SIGTERM twice. The exit code is the
program's, or 128 and the number of the signal that has ended it. 127: there
is no such program; 126: it can't be run.`,
		Example: `  tokenkeeper exec -a schwab-main -- ./bot --verbose
  tokenkeeper exec -a schwab-main -a saxo-live=SAXO_TOKEN -- ./bot
  tokenkeeper exec -a schwab-main --fd --on-new signal=HUP -- ./bot
  tokenkeeper exec -a schwab-main -- setpriv --reuid bot --clear-groups ./bot`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return usageErrorf("PROGRAM is missing: %s", cmd.UseLine())
			}
			return nil
		},
		ValidArgsFunction: e.completes(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			places, err := placesOf(accounts, x.inFiles)
			switch {
			case err != nil:
				return err
			case x.onNew.signal != 0 && !x.inFiles:
				return usageErrorf("--on-new %s takes --fd: the environment of a program that runs can't be changed", x.onNew.String())
			case timeout < 0 || minValid < 0 || x.stopWithin < 0:
				return usageErrorf("--timeout, --min-valid and --stop-within can't be negative")
			}
			x.command, x.places = args, places
			if err := x.openFiles(); err != nil {
				return err
			}
			defer x.closeFiles()
			if err := x.firstTokens(cmd.Context(), timeout, minValid); err != nil {
				return err
			}
			return x.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the program is its own
	flags.StringArrayVarP(&accounts, "account", "a", nil, "`account` whose token it gets, or account=VARIABLE")
	flags.BoolVar(&x.inFiles, "fd", false, "give it the token in an open file, and its path in the variable")
	flags.Var(&x.onNew, "on-new", "what to do when a new token comes: restart, nothing, signal=HUP")
	flags.DurationVar(&x.stopWithin, "stop-within", 30*time.Second, "how long it may take to end for a restart")
	flags.DurationVar(&timeout, "timeout", 0, "wait no longer for the first tokens (default: for ever)")
	flags.DurationVar(&minValid, "min-valid", 0, "start when they live for longer than this `duration`")
	_ = cmd.RegisterFlagCompletionFunc("account", func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return e.completes(accountNames)(cmd, nil, begun)
	})
	return cmd
}

// firstTokens holds one of each account when all are valid: while one was waited for,
// those of the others have grown old, or were replaced.
func (x *execution) firstTokens(ctx context.Context, timeout, minValid time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	all := make([]*waiting, len(x.places))
	for i, p := range x.places {
		all[i] = &waiting{env: x.env, TokenRequest: control.TokenRequest{Account: p.account, MinValid: minValid}}
	}
	for x.held = map[string]control.TokenAnswer{}; ; {
		again := false
		for _, w := range all {
			w.trouble = nil
			got, err := w.inTime(ctx, timeout)
			if err != nil {
				return err
			}
			again = again || w.trouble != nil || got.Version != x.held[w.Account].Version
			if err := x.hold(got); err != nil {
				return err
			}
		}
		if !again {
			return nil
		}
	}
}
