package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	sinkplugins "github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
)

// The two kinds of plugins.
const (
	kindProvider = "provider"
	kindSink     = "sink"
)

// inspectSinkTypes asks every program for sinks what it is, all at once: those
// in the plugin directory, and those that the configuration names a command
// for. It returns them ordered by type.
func inspectSinkTypes(ctx context.Context, cfg *config.Config) []plugin {
	programs := map[string]config.Sink{} // by type and command: many sinks can share one
	for _, typ := range knownSinks(cfg.Plugins.Dir) {
		programs[typ] = config.Sink{Name: typ, Type: typ, Destination: &sinkplugins.Settings{}}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		s := cfg.Sinks[name]
		if own, ok := sinkplugins.Of(s); ok {
			programs[strings.Join(append([]string{s.Type}, own.Command...), "\x00")] = s
		}
	}
	found := make([]plugin, 0, len(programs))
	for _, key := range slices.Sorted(maps.Keys(programs)) {
		found = append(found, plugin{Name: programs[key].Type, Kind: kindSink})
	}
	var all sync.WaitGroup
	for i, key := range slices.Sorted(maps.Keys(programs)) {
		all.Go(func() { found[i] = inspectSinkType(ctx, cfg, programs[key]) })
	}
	all.Wait()
	return found
}

func inspectSinkType(ctx context.Context, cfg *config.Config, s config.Sink) plugin {
	only := *cfg
	only.Sinks = map[string]config.Sink{s.Name: s}
	seen := inspectSinks(ctx, &only)[0]
	p := plugin{
		Name: s.Type, Kind: kindSink, Source: "plugin directory", Command: seen.Command, Version: seen.Version, Protocol: seen.Protocol,
		SHA256: seen.SHA256, Restore: seen.Restore, Test: seen.Test, Notify: seen.Notify, Error: seen.Error,
	}
	switch {
	case len(p.Command) == 0:
		p.Source = "not found"
	case s.Destination.To() != "":
		p.Source = "configuration"
	}
	return p
}
