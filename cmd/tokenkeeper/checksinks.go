package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	sinkplugins "github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
)

// sinkPlugin is the program of one sink.
type sinkPlugin struct {
	Sink    string   `json:"sink"`
	Type    string   `json:"type"`
	Command []string `json:"command"`
	Version string   `json:"version,omitempty"`
	// Protocol that it speaks; 0: it did not answer.
	Protocol int    `json:"protocol,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	// Interpreter that runs it, if it is a script.
	Interpreter string `json:"interpreter,omitempty"`
	// Restore, Test and Notify are what it can beside delivering.
	Restore bool `json:"restore"`
	Test    bool `json:"test"`
	Notify  bool `json:"notify"`
	// Error is why it can't be used.
	Error string `json:"error,omitempty"`

	description sdk.SinkDescription
}

// inspectSinks starts the program of every sink that is a plugin for a moment
// and asks it who it is, all at once, and returns them ordered by name. One that
// serves many sinks is asked once.
func inspectSinks(ctx context.Context, cfg *config.Config) []sinkPlugin {
	found := []sinkPlugin{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if s := cfg.Sinks[name]; isPlugin(s) {
			found = append(found, sinkPlugin{Sink: name, Type: s.Type})
		}
	}
	var all sync.WaitGroup
	asked := map[string]func() (process.Info, error){}
	for i := range found {
		p := &found[i]
		command, err := programs.OfSink(cfg, cfg.Sinks[p.Sink])
		if err != nil {
			p.Error = err.Error()
			continue
		}
		p.Command = append([]string{command.Path}, command.Args...)
		program := strings.Join(append([]string{p.Type}, p.Command...), "\x00")
		if command.SHA256 != "" { // that it is another is told of the sink that names it
			program = p.Sink
		}
		ask := asked[program]
		if ask == nil {
			ask = sync.OnceValues(func() (process.Info, error) {
				ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
				defer cancel()
				return process.InspectSink(ctx, *command, p.Type)
			})
			asked[program] = ask
		}
		all.Go(func() { p.note(ask()) })
	}
	all.Wait()
	return found
}

func isPlugin(s config.Sink) bool {
	_, is := sinkplugins.Of(s)
	return is
}

// note keeps what the program has said of itself.
func (p *sinkPlugin) note(info process.Info, err error) {
	p.SHA256, p.Interpreter = info.SHA256, info.Interpreter
	if err != nil {
		p.Error = err.Error()
		return
	}
	p.description, p.Version, p.Protocol = info.Sink, info.Version, info.Protocol
	p.Restore, p.Test, p.Notify = info.Sink.Restorer, info.Sink.Tester, info.Sink.Notifier
}

// addSinkPlugins reports programs that can't be used, and what the
// configuration asks of the others that they don't know.
func (r *report) addSinkPlugins(cfg *config.Config) {
	for _, p := range r.SinkPlugins {
		s, key := cfg.Sinks[p.Sink], "sinks."+p.Sink
		if p.Error != "" {
			r.add(config.Problem{File: r.Config, Line: r.where().of("sinks", p.Sink), Key: key, Message: p.Error})
			continue
		}
		own, _ := sinkplugins.Of(s)
		if own.SHA256 != "" {
			r.warnOfScript(p.Interpreter, p.Command[0], "sinks", p.Sink, "sha256")
		}
		if r.addSilent([]string{"sinks", p.Sink}, p.description.Settings, plainSettings(own.Own)) {
			continue
		}
		r.addWritten(settingProblems(r.where(), []string{"sinks", p.Sink}, "sinks of type "+p.Type, p.description.Settings, plainSettings(own.Own))...)
		r.add(namedProblems(r.where(), []string{"sinks", p.Sink}, p.description.Settings, plainSettings(own.Own), cfg.Trust)...)
		if (s.Sends(config.SendAlert) || s.Sends(config.SendLifecycle)) && !p.Notify {
			r.addWritten(config.Problem{
				File: r.Config, Line: r.where().of("sinks", p.Sink, "events"), Key: key + ".events",
				Message: "the plugin for sinks of type " + p.Type + " takes tokens only", Hint: "write events: [token], and another sink for the rest",
			})
		}
	}
}

// plainSettings are what settingProblems looks at; it quotes no value.
func plainSettings(settings sdk.Settings) map[string]string {
	plain := make(map[string]string, len(settings))
	for name := range settings {
		plain[name] = settings.Get(name)
	}
	return plain
}

func (r *report) addSinks(cfg *config.Config) {
	commands := map[string]string{}
	for _, p := range r.SinkPlugins {
		commands[p.Sink] = strings.Join(p.Command, " ")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		s := cfg.Sinks[name]
		to := s.Destination.To()
		if isPlugin(s) {
			to = orNever(commands[name])
		}
		r.Sinks = append(r.Sinks, sinkReport{
			Name: name, Type: s.Type, Accounts: accountsOf(cfg, s), To: to, RefreshToken: s.IncludeRefreshToken, Events: s.Events,
		})
	}
}

// accountsOf are the names of the accounts whose tokens and alerts go to a
// sink.
func accountsOf(cfg *config.Config, s config.Sink) []string {
	names := []string{}
	for _, a := range cfg.SinkAccounts(s) {
		names = append(names, a.Name)
	}
	return names
}

// sinksOfAccounts are the names of the sinks that each account's tokens and alerts go
// to, in order.
func sinksOfAccounts(cfg *config.Config) map[string][]string {
	all := map[string][]string{}
	for _, sink := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		for _, name := range accountsOf(cfg, cfg.Sinks[sink]) {
			all[name] = append(all[name], sink)
		}
	}
	return all
}

// some names a few accounts, and counts more.
func some(names []string) string { return someOf(names, "accounts") }

func someOf(names []string, of string) string {
	const few = 3
	if len(names) > few {
		return fmt.Sprintf("%d %s", len(names), of)
	}
	return strings.Join(names, ", ")
}

func sinkPluginTable(found []sinkPlugin, width int) table {
	t := table{head: []string{"SINK PLUGIN", "TYPE", "VERSION", "PROTO", "SHA256", "COMMAND"}, width: width}
	for _, p := range found {
		protocol := moment.Never
		if p.Protocol > 0 {
			protocol = fmt.Sprint(p.Protocol)
		}
		t.rows = append(t.rows, row{cells: cells(p.Sink, p.Type, orNever(p.Version), protocol, t.checksum(p.SHA256), orNever(strings.Join(p.Command, " ")))})
	}
	return t
}
