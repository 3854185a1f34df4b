package supervisor

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
)

// This file finds who is concerned by the change from one configuration to another.

// isOwn says whether a key is of that section.
func isOwn(key, section string) bool { return key == section || strings.HasPrefix(key, section+".") }

// differing are the providers of which something differs, their accounts included.
func (c change) differing(everything bool) (names []string) {
	all := slices.Concat(c.was.Config.ProviderNames(), c.of.Config.ProviderNames())
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		_, there := c.was.Members[name]
		if everything || !there || !slices.Equal(ofProvider(c.was, name), ofProvider(c.of, name)) || c.changes(c.what.Providers, name) ||
			slices.ContainsFunc(ofProvider(c.of, name), func(account string) bool {
				return c.changes(c.what.Accounts, account) || c.of.Account(c.of.Config.Accounts[account]).WholeGrant != c.was.Account(c.was.Config.Accounts[account]).WholeGrant
			}) {
			names = append(names, name)
		}
	}
	return names
}

// keeping are those who differ and whose process does not.
func (c change) keeping() (k kept) {
	for _, name := range c.providers {
		if _, there := c.was.Members[name]; there && len(c.of.Config.AccountsOf(name)) > 0 && !c.changes(c.what.Providers, name) {
			k.providers = append(k.providers, name)
		}
	}
	for _, name := range c.sinks {
		_, was := c.was.Plugins[name]
		if _, is := c.of.Config.Sinks[name]; was && is && !c.changes(c.what.Sinks, name) {
			k.sinks = append(k.sinks, name)
		}
	}
	return k
}

// ofProvider are the names of a provider's accounts, in order.
func ofProvider(p *roster.Present, provider string) []string {
	names := roster.Names(p.Config.AccountsOf(provider))
	slices.Sort(names)
	return names
}

func (c change) changes(s difference.Section, name string) bool {
	return slices.ContainsFunc(s.Changed, func(c difference.Change) bool { return c.Name == name })
}

// differingSinks are the sinks of which something differs, or which get the tokens of
// other accounts.
func (c change) differingSinks(everything bool) (names []string) {
	all := slices.Concat(slices.Collect(maps.Keys(c.was.Config.Sinks)), slices.Collect(maps.Keys(c.of.Config.Sinks)))
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		before, there := c.was.Config.Sinks[name]
		after, stays := c.of.Config.Sinks[name]
		if everything || !there || !stays || c.changes(c.what.Sinks, name) ||
			!reflect.DeepEqual(roster.Names(c.was.Config.SinkAccounts(before)), roster.Names(c.of.Config.SinkAccounts(after))) {
			names = append(names, name)
		}
	}
	return names
}

// keep takes over everybody who is not made anew.
func (c change) keep() {
	for name, m := range c.was.Members {
		if !slices.Contains(c.providers, name) {
			c.of.Members[name], c.of.Keepers[name], c.of.Beats[name] = m, c.was.Keepers[name], c.was.Beats[name]
		}
	}
	for name, w := range c.was.Workers {
		if slices.Contains(c.sinks, name) {
			continue
		}
		c.of.Workers[name] = w
		if p, ok := c.was.Plugins[name]; ok {
			c.of.Plugins[name] = p
		}
	}
	if !c.heartbeat {
		c.of.Heartbeat = c.was.Heartbeat
	}
}
