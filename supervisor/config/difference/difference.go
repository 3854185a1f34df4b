// Package difference says what one configuration says otherwise than another one: which
// accounts, providers and sinks came, went and changed, and in which keys. What stands
// there it never says. It is pure.
package difference

import (
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// Difference is what one configuration says otherwise than another one. In JSON, what
// does not differ is left out.
type Difference struct {
	Accounts Section `json:"accounts,omitzero"`
	// Providers are those that have accounts: others need no process.
	Providers Section `json:"providers,omitzero"`
	Sinks     Section `json:"sinks,omitzero"`
	// Keys are the others, dotted, like alerts.repeat.
	Keys []string `json:"keys,omitempty"`
	// Fixed are those others by which the process itself was made: its store, its
	// sockets and its log. It keeps them for as long as it runs.
	Fixed []string `json:"fixed,omitempty"`
}

// Section is what has a name. All lists are in order.
type Section struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []Change `json:"changed,omitempty"`
}

// Change is one that is in both.
type Change struct {
	Name string `json:"name"`
	// Keys of it, dotted, like refresh.every.
	Keys []string `json:"keys"`
}

// Between is what is says otherwise than was. Both were loaded with
// [config.Source.Comparable].
func Between(was, is *config.Config) Difference {
	before, after := was.Digest(), is.Digest()
	d := Difference{
		Accounts:  section(before.Accounts, after.Accounts),
		Providers: section(used(was), used(is)),
		Sinks:     section(before.Sinks, after.Sinks),
	}
	for _, key := range changed(before.Rest, after.Rest) {
		if isFixed(key) {
			d.Fixed = append(d.Fixed, key)
		} else {
			d.Keys = append(d.Keys, key)
		}
	}
	return d
}

// used are the providers that have accounts, of which not all need be written down.
func used(c *config.Config) map[string]config.Sums {
	written, all := c.Digest().Providers, map[string]config.Sums{}
	for _, name := range c.ProviderNames() {
		all[name] = written[name]
	}
	return all
}

func section(was, is map[string]config.Sums) (s Section) {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if now, there := is[name]; !there {
			s.Removed = append(s.Removed, name)
		} else if keys := changed(was[name], now); len(keys) > 0 {
			s.Changed = append(s.Changed, Change{name, keys})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, there := was[name]; !there {
			s.Added = append(s.Added, name)
		}
	}
	return s
}

// changed are the keys of which one has another value than the other, or has none.
func changed(was, is config.Sums) (keys []string) {
	for key, sum := range was {
		if now, there := is[key]; !there || now != sum {
			keys = append(keys, key)
		}
	}
	for key := range is {
		if _, there := was[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func isFixed(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	return slices.Contains([]string{"state_dir", "fallback_dir", "machine_guard", "control", "log", "metrics"}, section)
}

// IsZero says whether nothing differs.
func (d Difference) IsZero() bool {
	return d.Accounts.IsZero() && d.Providers.IsZero() && d.Sinks.IsZero() && len(d.Keys)+len(d.Fixed) == 0
}

// IsZero says whether nothing differs.
func (s Section) IsZero() bool { return len(s.Added)+len(s.Removed)+len(s.Changed) == 0 }
