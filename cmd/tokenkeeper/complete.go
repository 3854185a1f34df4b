package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
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
