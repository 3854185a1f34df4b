package config

import "slices"

// SinkAccounts returns the accounts whose tokens go to a sink, by name.
func (c *Config) SinkAccounts(s Sink) []Account {
	var names []string
	patterns := Sink{Providers: s.Providers}
	for _, word := range s.Accounts {
		if _, known := c.Accounts[word]; known {
			names = append(names, word)
		} else if isGlob(word) {
			patterns.Accounts = append(patterns.Accounts, word)
		}
	}
	if len(s.Accounts) == 0 || len(patterns.Accounts)+len(patterns.Providers) > 0 {
		for name, a := range c.Accounts {
			if patterns.routes(a) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	all := slices.Grow([]Account(nil), len(names))
	for _, name := range names {
		all = append(all, c.Accounts[name])
	}
	return all
}

// SinkWants says whether an alert or another event goes to a sink: one that
// concerns an account, if the account's tokens would; one that concerns a
// provider as a whole, if those of any of its accounts would; everything else
// goes to all. account and provider are "" if the event concerns none.
func (c *Config) SinkWants(s Sink, account, provider string) bool {
	a, known := c.Accounts[account]
	switch {
	case known:
		return s.routes(a)
	case provider == "" || slices.Contains(s.Providers, provider):
		return true
	}
	for _, a := range c.Accounts {
		if a.Provider == provider && s.routes(a) {
			return true
		}
	}
	return false
}

// Provider returns what is configured for a provider; one that is not listed
// has every default.
func (c *Config) Provider(name string) Provider {
	if p, ok := c.Providers[name]; ok {
		return p
	}
	return Provider{Name: name, MaxInFlight: defaultMaxInFlight}
}

// ProviderNames returns the providers that have at least one account, by name.
// Others need no process.
func (c *Config) ProviderNames() []string {
	used := map[string]bool{}
	for _, a := range c.Accounts {
		used[a.Provider] = true
	}
	return keysOf(used)
}

// AccountsOf returns the accounts of one provider, by name.
func (c *Config) AccountsOf(provider string) []Account {
	return c.SinkAccounts(Sink{Providers: []string{provider}})
}
