package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong usage or a bad configuration
	// exitLater and exitPerson are those of verbs that get programs a token which can't be
	// had: it is worth asking again later, or it takes a person.
	exitLater  = 3
	exitPerson = 4
	// exitConfig is run's where only another configuration helps: the EX_CONFIG of
	// sysexits(3). Not 2, with which Go's runtime ends a process that panics.
	exitConfig = 78
)

// streams are where a verb reads and writes, and how.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	json           bool
}

// configured is the configuration that a verb goes by, and the way to the supervisor
// that runs by it.
type configured struct {
	streams
	configFile string
	// trustConfig: the owner of the configuration may steer this process.
	trustConfig bool
	socket      string
	// looks are those of every configuration that this process reads.
	looks mounts.Looks
}

// asker is for as long as one configuration is read.
func (e *configured) asker() *mounts.Asker { return &mounts.Asker{Looks: &e.looks} }

// env is what every verb works with: the process's streams and the global
// flags.
type env struct {
	configured
	now func() time.Time
	// watchEvery is how often "status --watch" looks.
	watchEvery time.Duration
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer) *env {
	e := &env{now: time.Now, watchEvery: time.Second}
	e.streams = streams{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	return e
}

// commands is where each verb's file registers.
func (e *env) commands() []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(e),
		newInitCommand(e),
		newCheckCommand(e),
		newRunCommand(e),
		newStatusCommand(e),
		newSinksCommand(e),
		newAlertsCommand(e),
		newEventsCommand(e),
		newExplainCommand(e),
		newLogsCommand(e),
		newAccountsCommand(e),
		newRefreshCommand(e),
		newTestCommand(e),
		newRevokeCommand(e),
		newPauseCommand(e),
		newResumeCommand(e),
		newRestartCommand(e),
		newDiffCommand(e),
		newDoctorCommand(e),
		newReloadCommand(e),
		newTokenCommand(e),
		newWaitCommand(e),
		newExecCommand(e),
		newLoginCommand(e),
		newImportCommand(e),
		newAdoptCommand(e),
		newSpoolCommand(e),
		newStoreCommand(e),
		newPluginsCommand(e),
		newCompletionCommand(e),
		newVersionCommand(e),
	}
}

func newRootCommand(e *env) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "tokenkeeper",
		Short: "Keeps the OAuth tokens of trading systems alive",
		Long: `Tokenkeeper keeps the OAuth tokens of trading systems alive around the clock.

The supervisor refreshes each account's token in time, makes every new token
durable before anybody sees it, delivers it to files, sockets, webhooks,
programs and secret managers, and tells people early of trouble.

Exit codes: 0 done, 1 failed, 2 wrong usage or a bad configuration. A token that
can't be had is 3 where it may come by itself, 4 where it takes a person.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return e.printVersion()
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version of this program")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{exitUsage, fmt.Errorf("%w; see \"%s --help\"", plainFlagError(err), cmd.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&e.configFile, "config", "c", "", "configuration `file` (default: the first of $TOKENKEEPER_CONFIG, ./tokenkeeper.yaml, ~/.config/tokenkeeper/tokenkeeper.yaml, /etc/tokenkeeper/tokenkeeper.yaml)")
	flags.StringVar(&e.socket, "socket", "", "control socket's `path` (default: the configuration's)")
	flags.BoolVar(&e.trustConfig, "trust-config", false, "trust the owner of the configuration file, who is neither root nor the user that runs this")
	flags.BoolVar(&e.json, "json", false, "print JSON, for programs")
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages", fmt.Sprintf(".LocalFlags.FlagUsagesWrapped %d", narrow),
		"for more information about a command", "for more about a command",
		".InheritedFlags.FlagUsages", fmt.Sprintf(".InheritedFlags.FlagUsagesWrapped %d", narrow),
	).Replace(root.UsageTemplate()))
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(e.commands()...)
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return root
}

// execute runs one command line.
func (e *env) execute(ctx context.Context, args []string) int {
	root := newRootCommand(e)
	root.SetArgs(args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailure
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		code = exit.code
	}
	if !errors.Is(err, errSaid) {
		// What follows a flag that is not known was not read.
		e.json = e.json || asksForJSON(args)
		e.fail(code, err)
		e.warnOfOldNames(ctx, err)
	}
	return code
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errSaid is a failure of which everything has been printed.
var errSaid = errors.New("failed")

func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// plainFlagError is the error of a flag in words of ours where the library's are those of
// a programmer.
func plainFlagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	f := bad.GetFlag()
	looks := map[string]string{
		"duration": "no duration; write it like 90s, 30m or 2h", "bool": "neither true nor false", "int": "no whole number", "uint64": "no whole number",
	}[f.Value.Type()]
	if looks == "" {
		return err
	}
	return fmt.Errorf("--%s: %q is %s", f.Name, bad.GetValue(), looks)
}

// exactArgs wants one argument for each of names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) || args[i] == "" {
				return usageErrorf("%s is missing: %s", name, cmd.UseLine())
			}
		}
		if len(args) > len(names) {
			return usageErrorf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usageErrorf("there is no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return usageErrorf("there is no command %q; see \"tokenkeeper --help\"", name)
}

// print writes a line of prose to stdout.
func (e *streams) print(format string, args ...any) error { return prose(e.stdout, format, args...) }

// printJSON writes v, indented, to stdout: an object, never a bare list, to which
// nothing could be added.
func (e *streams) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(control.InUTC(v))
}
