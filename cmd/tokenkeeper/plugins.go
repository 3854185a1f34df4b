package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	logins "github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
)

// inspectTimeout bounds the start of a provider and its answer to who it is.
const inspectTimeout = 15 * time.Second

// builtIn is the source of a provider that is a part of this program.
const builtIn = "built in"

// plugin is one provider, or one type of sinks, that was found.
type plugin struct {
	Name string `json:"name"`
	// Kind is "provider" or "sink".
	Kind string `json:"kind"`
	// Source is "built in", "plugin directory" or "configuration".
	Source  string   `json:"source"`
	Command []string `json:"command"`
	Version string   `json:"version,omitempty"`
	// Protocol that it speaks; 0: it did not answer.
	Protocol int    `json:"protocol,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	// Interpreter that runs it, if it is a script.
	Interpreter string `json:"interpreter,omitempty"`
	// Login, Check and Revoke are what a provider can beside refreshing.
	Login  bool `json:"login"`
	Check  bool `json:"check"`
	Revoke bool `json:"revoke"`
	// Logins are its shapes of login, the usual one first. Way is how its accounts get
	// their next token, as in a status; Mints: from a key, where nothing else follows;
	// KeepsAlive: it makes the calls that keep a session from dying of idleness.
	Logins     []sdk.LoginShape `json:"logins,omitempty"`
	Way        string           `json:"way,omitempty"`
	Mints      bool             `json:"mints,omitempty"`
	KeepsAlive bool             `json:"keeps_alive,omitempty"`
	// Restore, Test and Notify are what a sink can beside delivering.
	Restore bool `json:"restore,omitempty"`
	Test    bool `json:"test,omitempty"`
	Notify  bool `json:"notify,omitempty"`
	// Error is why it can't be used.
	Error string `json:"error,omitempty"`

	description sdk.Description
}

// foundPlugins is what "plugins --json" prints.
type foundPlugins struct {
	Plugins []plugin `json:"plugins"`
}

func newPluginsCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "plugins",
		Short: "Show the providers and the sinks' programs that are found",
		Long: `Show the providers that are found: those built in, those in the plugin
directory (tokenkeeper-provider-NAME), and those that the configuration names a
command for; and in the same way the programs for sinks (tokenkeeper-sink-TYPE).
Each is started for a moment and asked who it is.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.loadOrDefault()
			if err != nil {
				return err
			}
			names := append(knownProviders(cfg.Plugins.Dir), cfg.ProviderNames()...)
			names = slices.AppendSeq(names, maps.Keys(cfg.Providers))
			providers, sinks := inspectAll(cmd.Context(), cfg, names), inspectSinkTypes(cmd.Context(), cfg)
			if e.json {
				return e.printJSON(foundPlugins{append(providers, sinks...)})
			}
			var b strings.Builder
			pluginTable(providers, e.tableWidth()).render(&b, e.painter(), 0, 4, 5)
			if len(sinks) > 0 {
				b.WriteByte('\n')
				t := pluginTable(sinks, e.tableWidth())
				t.head[0] = "SINK TYPE"
				t.render(&b, e.painter(), 0, 4, 5)
			}
			return e.write(b.String())
		},
	}
}

// loadOrDefault loads the configuration, or an empty one if the user named
// none and there is none.
func (e *configured) loadOrDefault() (*config.Config, error) {
	if _, err := e.configPath(); err != nil {
		cfg, _, err := config.Load(config.Source{Bytes: []byte(oneAccount), Name: "defaults"})
		if err != nil {
			return nil, err
		}
		empty := *cfg
		empty.Accounts, empty.Providers = nil, nil
		return &empty, nil
	}
	return e.load()
}

// inspectAll asks every provider who it is, all at once, and returns them
// ordered by name.
func inspectAll(ctx context.Context, cfg *config.Config, names []string) []plugin {
	slices.Sort(names)
	names = slices.Compact(names)
	found := make([]plugin, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { found[i] = inspect(ctx, cfg, name) })
	}
	all.Wait()
	return found
}

func inspect(ctx context.Context, cfg *config.Config, name string) plugin {
	p := plugin{Name: name, Kind: kindProvider, Source: "plugin directory"}
	command, err := programs.OfProvider(cfg, name, builtinCommand)
	if err != nil {
		p.Source, p.Error = "not found", err.Error()
		return p
	}
	p.Command = append([]string{command.Path}, command.Args...)
	if len(cfg.Providers[name].Command) > 0 {
		p.Source = "configuration"
	} else if own, ok := builtinCommand(name); ok && slices.Equal(own, p.Command) {
		p.Source = builtIn
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	info, err := process.Inspect(ctx, *command)
	p.SHA256, p.Interpreter = info.SHA256, info.Interpreter
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.description, p.Version, p.Protocol = info.Description, info.Description.Version, info.Protocol
	p.Login, p.Check, p.Revoke = p.description.Authorizer || p.description.LoginGuide, p.description.Checker, p.description.Revoker
	p.Logins, p.Way = logins.Shapes(p.description), wayBy(p.description)
	p.Mints, p.KeepsAlive = p.description.Minter, p.description.Keepalive
	return p
}

// kindOf says in words how a provider gets tokens.
func kindOf(p plugin) string {
	if p.Way == "" {
		return ""
	}
	first := "login: none, a token is imported"
	switch {
	case len(p.Logins) > 0:
		names := make([]string, len(p.Logins))
		for n, shape := range p.Logins {
			names[n] = shapeText(shape)
		}
		first = "login: " + strings.Join(names, " or ")
	case p.Mints:
		first = "login: none"
	}
	next := map[string]string{
		control.WayRefresh: "tokens are refreshed", control.WayRenew: "the access token renews itself",
		control.WayLogin: "the next token comes from a login", control.WayMint: "tokens are minted from the key",
	}[p.Way]
	if p.Way == control.WayLogin && len(p.Logins) == 0 {
		next = "the next token comes from a file"
	}
	parts := []string{first, next}
	if p.Mints && p.Way != control.WayMint {
		parts = append(parts, "or minted from the key")
	}
	if p.KeepsAlive {
		parts = append(parts, "sessions are kept alive")
	}
	return strings.Join(parts, "; ")
}

// shapeText names a shape of login.
func shapeText(shape sdk.LoginShape) string {
	switch shape {
	case sdk.LoginPasteAddress:
		return "paste of an address"
	case sdk.LoginPasteToken:
		return "paste of a refresh token"
	case sdk.LoginDevice:
		return "device code"
	case sdk.LoginApproval:
		return "approval elsewhere"
	}
	return string(shape)
}

func pluginTable(found []plugin, width int) table {
	t := table{head: []string{"PROVIDER", "VERSION", "PROTO", "SHA256", "FROM", "COMMAND"}, width: width}
	for _, p := range found {
		protocol := moment.Never
		if p.Protocol > 0 {
			protocol = fmt.Sprint(p.Protocol)
		}
		command := orNever(strings.Join(p.Command, " "))
		if p.Source == builtIn {
			command = "tokenkeeper " + strings.Join(p.Command[1:], " ")
		}
		r := row{cells: cells(p.Name, orNever(p.Version), protocol, t.checksum(p.SHA256), p.Source, command)}
		if p.Error != "" {
			r.notes = []cell{{p.Error, red}}
		} else if text := kindOf(p); text != "" {
			r.notes = []cell{{text, plain}}
		}
		t.rows = append(t.rows, r)
	}
	return t
}
