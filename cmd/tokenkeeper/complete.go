package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// namesOf are what an argument may be, by the configuration.
type namesOf func(cfg *config.Config) []string

func accountNames(cfg *config.Config) []string { return slices.Sorted(maps.Keys(cfg.Accounts)) }

func sinkNames(cfg *config.Config) []string { return slices.Sorted(maps.Keys(cfg.Sinks)) }

func providerNames(cfg *config.Config) []string { return cfg.ProviderNames() }

// completes lets a shell complete a command's arguments, the first by what the first of
// each is, and so on; nil is a file, of which the shell knows more than we. It says
// nothing where the configuration can't be read: what is wrong with that is told when
// the command runs.
func (e *configured) completes(each ...namesOf) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		namesOf := each[len(args)]
		if namesOf == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		cfg := e.named()
		if cfg == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := namesOf(cfg)
		return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, begun) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// completesAll lets a shell complete any number of names, each of which is given once.
func (e *configured) completesAll(namesOf namesOf) cobra.CompletionFunc {
	first := e.completes(namesOf)
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, directive := first(cmd, nil, begun)
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
	}
}

// completesAlert lets a shell complete the name of an alert that lasts and is wanted. It
// asks the supervisor, and says nothing where that does not answer at once.
func (e *configured) completesAlert(wanted func(event.Alert) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := e.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		got, err := c.Alerts(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, a := range got.Alerts {
			if !a.Over() && wanted(a) && strings.HasPrefix(a.Key, begun) {
				names = append(names, a.Key)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// hushed says whether an alert was acknowledged or silenced.
func hushed(a event.Alert) bool { return a.Hush != nil }

// named is the configuration, for the names in it; nil: it can't be read.
func (e *configured) named() *config.Config {
	path, err := e.configPath()
	if err != nil || e.borrowed(path) {
		return nil
	}
	src := e.source(path)
	src.NamesOnly = true
	cfg, _, err := config.Load(src)
	if err != nil {
		return nil
	}
	return cfg
}
