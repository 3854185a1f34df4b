package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/sdk/idle"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
)

func newRunCommand(e *env) *cobra.Command {
	flags := map[string]*string{}
	var dumpable, observe bool
	cmd := &cobra.Command{
		Use:   "run [--observe]",
		Short: "Keep the tokens alive until told to end",
		Long: `Keep the tokens of all configured accounts alive: refresh each one in time and
deliver every new token to its sinks, until SIGTERM or Ctrl-C. A refresh that
was sent is waited for before the program ends.

The configuration, its secrets and programs, the state directory and the log's
folder are checked before anything starts. A destination of which check says
that it can't work holds up nobody else: it is tried again and again. Exit code
78: the configuration has to be corrected.

With --observe it reads and shows everything and spends nothing: for an
incident, and to try it beside another service. No request goes to a broker,
nothing is delivered, and neither the store nor a shared file is written;
"status" says what would be done next.

Neither this process nor those of the plugins write core files, and no debugger
can attach, unless --debug-dumpable is given. With --json the log is JSON.`,
		Example: "  tokenkeeper run -c tokenkeeper.yaml\n  tokenkeeper run --observe",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			set := map[string]string{}
			for key, value := range flags {
				if *value != "" {
					set[key] = *value
				}
			}
			if e.json {
				set["log.format"] = "json"
			}
			if dumpable {
				// By the environment, so that plugins have it as well.
				if err := os.Setenv(coredump.EnvAllow, "1"); err != nil {
					return err
				}
			}
			if err := coredump.Forbid(); err != nil {
				e.warn("%v", err)
			}
			return e.runSupervisor(cmd.Context(), set, observe)
		},
	}
	for _, f := range []struct{ name, key, usage string }{
		{"log-level", "log.level", "debug, info, warn or error"},
		{"log-format", "log.format", "text or json"},
		{"log-file", "log.file", "log to this `file` as well"},
		{"state-dir", "state_dir", "the state `directory`"},
	} {
		flags[f.key] = cmd.Flags().String(f.name, "", f.usage+" (default: the configuration's)")
	}
	cmd.Flags().BoolVar(&observe, "observe", false, "only read and show: send, deliver and write nothing")
	cmd.Flags().BoolVar(&dumpable, "debug-dumpable", false, "allow core files and debuggers, which show every token")
	return cmd
}

func (e *env) runSupervisor(ctx context.Context, flags map[string]string, observe bool) error {
	heard := survive()
	var stored *fdstore.Store // what it keeps is for who settles the attempts of before
	if !observe {
		stored = fdstore.Open()
	}
	keepInherited()
	defer func() { _ = stored.Close() }() // a start that fails must keep no bot from a lock
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cfg, err := e.preflight(ctx, flags, observe)
	if err != nil {
		return err
	}
	if observe && flags["log.file"] == "" {
		e.leaveLog(cfg)
	}
	log, closer, err := newLogger(cfg.Log, e.stderr)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() { _ = closer.Close() }()
	if os.Getenv("GOMAXPROCS") == "" && len(cfg.Accounts) <= fewAccounts {
		runtime.GOMAXPROCS(1)
	}
	rest := idle.New(restAfter)
	s, err := newSupervisor(ctx, supervisor.Options{
		Config: cfg, Reread: e.reread(cfg.File, flags), Referred: e.referred(cfg.File, flags), Check: e.checkReread(cfg.File, flags),
		Log: log, Stored: stored, Looked: rest.Touched, Observe: observe,
	})
	if err != nil {
		return err
	}
	if !observe {
		keepStacks(cfg.StateDir, log)
	}
	go supervisor.RemoveLeftFolders() // a disk that hangs holds up nothing
	heeding, stopHeeding := context.WithCancel(context.WithoutCancel(ctx))
	var signals sync.WaitGroup
	signals.Go(func() { heed(heeding, heard, s.Reload, log) })
	defer signals.Wait() // before the log is closed
	defer stopHeeding()
	events := s.Events().Subscribe(1)
	defer events.Close()
	go restBetween(ctx, rest, events)
	return s.Run(ctx)
}

// leaveLog has who observes beside a service of another user make no log in its place,
// which that one could not go on with.
func (e *streams) leaveLog(cfg *config.Config) {
	info, err := os.Stat(cfg.StateDir)
	if err != nil || cfg.Log.File == "" {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		e.warn("the log goes to standard error alone: %s is for the user to whom %s belongs; --log-file names another one", cfg.Log.File, cfg.StateDir)
		cfg.Log.File = ""
	}
}

// keepInherited keeps files that whoever started this process left open from
// the processes that it starts: plugins and commands have no use for them. An
// old kernel that can't do it (before 5.11) leaves things as they are.
func keepInherited() {
	const firstAfterStderr = 3
	_ = unix.CloseRange(firstAfterStderr, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// restAfter is how long after the last event the process counts as idle.
const restAfter = 5 * time.Second

// fewAccounts are so many that one processor is enough for them, whatever happens to
// all at once. Each further one costs memory for as long as the process lives.
const fewAccounts = 100

// restBetween gives memory back between the events, until ctx ends.
func restBetween(ctx context.Context, rest *idle.Rest, events *event.Subscription) {
	defer rest.Close()
	for {
		select {
		case <-events.C:
			rest.Busy()
		case <-ctx.Done():
			return
		}
	}
}

// newSupervisor is how every verb makes the supervisor.
func newSupervisor(ctx context.Context, opts supervisor.Options) (*supervisor.Supervisor, error) {
	opts.Version, opts.Builtin = programVersion(), builtinCommand
	return supervisor.New(ctx, opts)
}

// runSource is the configuration at path as run reads it.
func (e *configured) runSource(path string, flags map[string]string) config.Source {
	src := e.source(path)
	if src.Flags == nil {
		src.Flags = map[string]string{}
	}
	maps.Copy(src.Flags, flags)
	src.Comparable = true
	return src
}

// reread reads that again, and warns nobody.
func (e *configured) reread(path string, flags map[string]string) func() (*config.Config, error) {
	return func() (*config.Config, error) {
		if err := e.refuseBorrowed(path); err != nil {
			return nil, err
		}
		cfg, _, err := config.Load(e.runSource(path, flags))
		return cfg, err
	}
}

// referred are the files that it refers to by then.
func (e *configured) referred(path string, flags map[string]string) func() []string {
	return func() []string {
		if e.refuseBorrowed(path) != nil {
			return nil
		}
		return config.Referred(e.runSource(path, flags))
	}
}

// preflight finds everything that a person has to correct before anything
// starts: what check finds, but for the time it takes to start the built-in
// providers, which need not be asked over a connection who they are. Who only observes
// writes to no state directory.
func (e *env) preflight(ctx context.Context, flags map[string]string, observe bool) (*config.Config, error) {
	path, err := e.configPath()
	if err != nil {
		return nil, err
	}
	src := e.runSource(path, flags)
	cfg, err := e.loadFrom(src)
	if err != nil {
		return nil, forGood(src, err)
	}
	r := report{Config: path, asker: src.Mounts, starts: true}
	inspectPrograms(ctx, &r, cfg, src.StrictFiles)
	if !observe {
		state := checkStateDir(ctx, cfg)
		state.OK = state.OK || state.damaged // what opens it restores it, or says why not
		r.addStateDir(state, cfg)
	}
	if all := problemsOf(r); len(all) > 0 {
		code := exitUsage
		if r.miswritten {
			code = exitConfig
		}
		return nil, &exitError{code, fmt.Errorf("nothing was started:\n%w", all)}
	}
	return cfg, nil
}

// inspectPrograms asks the programs of providers and sinks who they are.
func inspectPrograms(ctx context.Context, r *report, cfg *config.Config, strict bool) {
	var sinks sync.WaitGroup
	sinks.Go(func() { r.SinkPlugins = inspectSinks(ctx, cfg) })
	r.Providers = inspectForeign(ctx, cfg)
	sinks.Wait()
	r.addProviders(cfg, strict)
	r.addSinkPlugins(cfg)
}

func problemsOf(r report) (all config.Problems) {
	for _, f := range r.Problems {
		all = append(all, config.Problem(f))
	}
	return all
}

// checkReread is what of preflight can go wrong with a configuration that a running
// supervisor reads again.
func (e *configured) checkReread(path string, flags map[string]string) func(context.Context, *config.Config) error {
	return func(ctx context.Context, cfg *config.Config) error {
		src := e.runSource(path, flags)
		r := report{Config: path, asker: src.Mounts, starts: true}
		inspectPrograms(ctx, &r, cfg, src.StrictFiles)
		if all := problemsOf(r); len(all) > 0 {
			return all
		}
		return nil
	}
}

// forGood tells a configuration that no further try can make right from one that
// lacks but a secret, which may come: a service manager need not start it again.
func forGood(src config.Source, err error) error {
	if problems := (config.Problems)(nil); !errors.As(err, &problems) {
		return err
	}
	if src.Mounts.Met() { // it may answer later
		return err
	}
	src.Secretless = true
	if _, _, also := config.Load(src); also == nil {
		return err
	}
	return &exitError{exitConfig, err}
}

// inspectForeign is inspectAll without starting the built-in providers.
func inspectForeign(ctx context.Context, cfg *config.Config) []plugin {
	var found []plugin
	var foreign []string
	for _, name := range cfg.ProviderNames() {
		p, ok := describeBuiltin(ctx, cfg, name)
		if ok {
			found = append(found, p)
		} else {
			foreign = append(foreign, name)
		}
	}
	return append(found, inspectAll(ctx, cfg, foreign)...)
}

// builtinsOf are the built-in ones among the providers, none of which is
// started.
func builtinsOf(ctx context.Context, cfg *config.Config) []plugin {
	var found []plugin
	for _, name := range cfg.ProviderNames() {
		if p, ok := describeBuiltin(ctx, cfg, name); ok {
			found = append(found, p)
		}
	}
	return found
}

// describeBuiltin asks a built-in provider in this process; ok is false if the
// name leads to another program, or to an answer that only a real start can
// explain.
func describeBuiltin(ctx context.Context, cfg *config.Config, name string) (plugin, bool) {
	command, err := programs.OfProvider(cfg, name, builtinCommand)
	own, isBuiltin := builtinCommand(name)
	if err != nil || !isBuiltin || command.Path != own[0] || command.SHA256 != "" {
		return plugin{}, false
	}
	provider, _ := builtin(name)
	d, err := provider.Describe(ctx)
	if err != nil {
		return plugin{}, false
	}
	return plugin{Name: name, Source: builtIn, description: d}, true
}
