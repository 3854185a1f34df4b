package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// report is what check found out.
type report struct {
	OK        bool            `json:"ok"`
	Config    string          `json:"config"`
	Problems  []finding       `json:"problems"`
	Warnings  []finding       `json:"warnings"`
	Accounts  []accountReport `json:"accounts"`
	Providers []plugin        `json:"providers"`
	Sinks     []sinkReport    `json:"sinks"`
	// SinkPlugins are the programs of the sinks that are not built in.
	SinkPlugins []sinkPlugin `json:"sink_plugins"`
	// Trusts are the other users who are trusted, and why.
	Trusts []string `json:"trusts"`
	// CheckedAs is the user with whose rights destinations were tried, and ServiceUser
	// whose the state directory is, if that is another one.
	CheckedAs   string `json:"checked_as,omitempty"`
	ServiceUser string `json:"service_user,omitempty"`
	// Untried is what check can't see.
	Untried  []untried `json:"untried"`
	StateDir *stateDir `json:"state_dir,omitempty"`

	// cfg is what was checked; nil: it could not be read.
	cfg *config.Config
	// unit is the service of systemd that this machine has, if it can be checked as.
	unit  string
	lines *keyLines
	asker *mounts.Asker
	// starts: it is for a start, which a file system that may answer later does not keep
	// from the accounts that don't need it.
	starts bool
	// miswritten: of the problems at least one is solved by another configuration alone.
	miswritten bool
}

// finding is a config.Problem for programs.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (f finding) String() string { return config.Problem(f).String() }

type accountReport struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Refresh  string `json:"refresh"`
	// Way in which it gets its next token, as in a status; "": its provider was not
	// asked.
	Way   string   `json:"way,omitempty"`
	Sinks []string `json:"sinks"`
}

type sinkReport struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Accounts []string `json:"accounts"`
	To       string   `json:"to"`
	// RefreshToken: it carries the refresh token.
	RefreshToken bool `json:"include_refresh_token"`
	// Events are what is sent there: token, alert, lifecycle.
	Events []string `json:"events"`
}

func newCheckCommand(e *env) *cobra.Command {
	var verbose bool
	var unit string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and everything it names",
		Long: `Validate the configuration and everything it names, without starting the
service: every key, every secret, certificate and template, the programs of
providers and sinks and their checksums (each is started for a moment and asked
which settings it knows), every destination that can be tried without anybody's
noticing it, and the state directory with the store in it. It says what goes to
which sink, which of them carry the refresh token, and what it could not try.

Destinations are tried with the rights of whoever runs it: run it as the user of
the service, or, of a service of systemd, with --unit, as that service and with
what it may see. Of more than 20 accounts or sinks those that are alike are told
as one, with their number.`,
		Example: `  tokenkeeper check
  tokenkeeper check --unit tokenkeeper.service && systemctl restart tokenkeeper`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unit != "" {
				return e.asService(cmd, unit, e.stdin)
			}
			path, err := e.configPath()
			if err != nil {
				return err
			}
			r, err := e.check(cmd.Context(), path, checkStateDir, true)
			if err != nil {
				return err
			}
			r.unit = installedUnit("/", os.Geteuid(), e.getenv)
			if e.json {
				err = e.printJSON(r)
			} else {
				err = e.write(renderReport(r, e.painter(), e.tableWidth(), !verbose))
			}
			if err == nil && !r.OK {
				err = &exitError{exitUsage, errSaid}
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list each account, sink and warning, however many there are")
	addUnitFlag(cmd, &unit)
	return cmd
}

// check looks at all that the configuration at path names, and at the proxies if it shall.
func (e *env) check(ctx context.Context, path string, look func(context.Context, *config.Config) stateDir, tryProxies bool) (report, error) {
	r := report{
		Config: path, Problems: []finding{}, Warnings: []finding{},
		Accounts: []accountReport{}, Providers: []plugin{}, Sinks: []sinkReport{}, SinkPlugins: []sinkPlugin{}, Trusts: []string{}, Untried: []untried{},
	}
	src := e.source(path)
	src.StrictFiles = true
	r.asker = src.Mounts
	read := e.goesOn("reading "+path, isLarge(path))
	cfg, warnings, err := config.Load(src)
	read()
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, finding(w))
	}
	if problems := (config.Problems)(nil); errors.As(err, &problems) {
		r.add(problems...)
		return r, nil
	} else if err != nil {
		return r, err
	}
	r.cfg = cfg
	defer e.goesOn(fmt.Sprintf("checking %s and %s", counted(len(cfg.Accounts), "account", "accounts"), counted(len(cfg.Sinks), "sink", "sinks")), true)()
	if e.borrowed(path) {
		r.Providers = builtinsOf(ctx, cfg)
		r.Warnings = append(r.Warnings, finding{File: path,
			Message: "it belongs to the user who called sudo, and so no program that it names was started",
			Hint:    "to start them as root: --trust-config; else run this as that user, or make the file root's"})
	} else {
		r.Providers = inspectAll(ctx, cfg, cfg.ProviderNames())
		r.SinkPlugins = inspectSinks(ctx, cfg)
		if tryProxies {
			r.addProxies(ctx, cfg, e.getenv)
		}
	}
	r.addProviders(cfg, src.StrictFiles)
	r.addSinkPlugins(cfg)
	r.addAccounts(cfg)
	r.addCapacity(cfg)
	r.addLimits(cfg)
	warnOfStop(&r, cfg, e.getenv(envStops))
	r.addZones(ctx, cfg, e.now())
	r.addOpenLocks(cfg)
	r.addSinks(cfg)
	r.addObstacles(cfg)
	r.addUntried(cfg)
	r.Trusts = append(r.Trusts, supervisor.Trusted(cfg)...)
	state := look(ctx, cfg)
	r.addStateDir(state, cfg)
	r.addLeft(state.Left, e.now())
	r.addMetrics(cfg.Metrics, state, e.now())
	r.OK = len(r.Problems) == 0
	return r, nil
}

// addLogFolder reports that the log's folder is missing, without which run does not
// start.
func (r *report) addLogFolder(log config.Log) {
	if log.File == "" {
		return
	}
	folder, _, _, err := logPlace(log)
	if folder != nil {
		folder.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	p := config.Problem{File: r.Config, Line: r.where().of("log", "file"), Key: "log.file", Message: err.Error()}
	if madeAtStart(filepath.Dir(log.File)) {
		p.Hint = "whoever starts the service may make it until then"
		r.Warnings = append(r.Warnings, finding(p))
		return
	}
	r.add(p)
}

// where finds lines of the configuration, which is read once.
func (r *report) where() *keyLines {
	if r.lines == nil {
		r.lines = &keyLines{file: r.Config}
	}
	return r.lines
}

func (r *report) add(problems ...config.Problem) {
	for _, p := range problems {
		r.Problems = append(r.Problems, finding(p))
	}
}

// addWritten adds problems of what is written, which another configuration alone solves.
func (r *report) addWritten(problems ...config.Problem) {
	r.add(problems...)
	r.miswritten = r.miswritten || len(problems) > 0
}

func (r *report) addStateDir(state stateDir, cfg *config.Config) {
	r.StateDir = &state
	if state.oldConfig != "" {
		r.Warnings = append(r.Warnings, finding{File: r.Config, Message: state.oldConfig})
	}
	if state.Machine.Other {
		r.Warnings = append(r.Warnings, finding{File: r.Config, Line: r.where().of("state_dir"), Key: "state_dir",
			Message: state.Path + " belongs to another machine, " + state.Machine.Owner + ": no refresh token is used",
			Hint:    "stop Tokenkeeper there for good, then run here: tokenkeeper adopt"})
	}
	if err := supervisor.ControlExposed(cfg); err != nil && !state.tells(err) {
		r.add(config.Problem{File: r.Config, Line: r.where().of("control", "socket"), Key: "control.socket", Message: err.Error()})
	}
	if err := supervisor.ControlClosed(cfg); err != nil {
		r.Warnings = append(r.Warnings, finding{File: r.Config, Line: r.where().of("control", "readers"), Key: "control.readers", Message: err.Error()})
	}
	if err := logRefusal(cfg.Log); err != nil {
		r.add(config.Problem{File: r.Config, Line: r.where().of("log", "file"), Key: "log.file", Message: err.Error()})
	}
	r.addLogFolder(cfg.Log)
	if refusal := whoCanReplace(cfg); refusal != nil && !state.tells(refusal) {
		r.Warnings = append(r.Warnings, finding{File: r.Config, Line: r.where().of("state_dir"), Key: "state_dir",
			Message: refusal.Error(),
			Hint:    "who can do that can put another store in the place of ours: choose a directory below those of root and of the user that runs Tokenkeeper"})
	}
	if !state.OK {
		r.add(config.Problem{File: r.Config, Line: r.where().of("state_dir"), Key: "state_dir", Message: state.Path + " " + state.State})
	}
}

func (r *report) addProviders(cfg *config.Config, strictFiles bool) {
	caFault := caFaults(strictFiles)
	for _, p := range r.Providers {
		if p.Error != "" {
			r.add(config.Problem{
				File: r.Config, Line: r.where().of("providers", p.Name), Key: "providers." + p.Name, Message: p.Error,
			})
			continue
		}
		if cfg.Providers[p.Name].SHA256 != "" {
			r.warnOfScript(p.Interpreter, p.Command[0], "providers", p.Name, "sha256")
		}
		for _, a := range cfg.AccountsOf(p.Name) {
			r.warnOfClient(a, p.description)
			if p.description.Authorizer && a.RedirectURL == "" {
				r.Warnings = append(r.Warnings, withoutRedirect(a, r.where()))
			}
			budgetCheck{r, a, p.description}.refuse()
			if !r.starts && p.Source == builtIn && a.ClientSecret.IsZero() && needsSecret(p.Name) {
				r.add(clientless(a, r.where()))
			}
			if r.addSilent([]string{"accounts", a.Name}, p.description.Settings, a.Settings) {
				continue
			}
			place := []string{"accounts", a.Name}
			r.addWritten(settingProblems(r.where(), place, "provider "+a.Provider, p.description.Settings, a.Settings)...)
			r.add(namedProblems(r.where(), place, p.description.Settings, a.Settings, cfg.Trust)...)
			r.addWritten(addressProblems(r.where(), a, p.description.Settings, caFault)...)
		}
	}
}

// warnOfClient says of an account that it names no client, where its provider most likely
// presents one: for a login, or with a refresh token.
func (r *report) warnOfClient(a config.Account, provider sdk.Description) {
	if a.ClientID != "" || !provider.Authorizer && provider.NoRefresh {
		return
	}
	r.Warnings = append(r.Warnings, finding{
		File: r.Config, Line: r.where().of("accounts", a.Name), Key: "accounts." + a.Name + ".client_id",
		Message: "the account has no client_id, which nearly every broker asks for",
		Hint:    "write client_id: ${env:NAME}",
	})
}

// clientless is the problem of an account that can never get a token, as it has no client
// secret. It keeps no start from the others.
func clientless(a config.Account, lines *keyLines) config.Problem {
	return config.Problem{
		File: lines.file, Line: lines.of("accounts", a.Name, "client_secret"), Key: "accounts." + a.Name + ".client_secret",
		Message: missing("provider "+a.Provider, ""), Hint: "write client_secret: ${env:NAME}",
	}
}

// withoutRedirect says of an account that nobody can log in to it.
func withoutRedirect(a config.Account, lines *keyLines) finding {
	return finding{
		File: lines.file, Line: lines.of("accounts", a.Name), Key: "accounts." + a.Name + ".redirect_url",
		Message: `is missing: "tokenkeeper login ` + a.Name + `" needs it`,
		Hint:    "write the redirect address that is registered for the app at the broker",
	}
}

// warnOfScript says what a checksum at key does not say of a script.
func (r *report) warnOfScript(interpreter, path string, key ...string) {
	if interpreter == "" {
		return
	}
	r.Warnings = append(r.Warnings, finding{
		File: r.Config, Line: r.where().of(key...), Key: strings.Join(key, "."),
		Message: fmt.Sprintf("%s is a script, and the checksum pins it alone: not its interpreter, %s, and not what it loads", path, interpreter),
		Hint:    "pin a program that is one file, if that is not enough",
	})
}
