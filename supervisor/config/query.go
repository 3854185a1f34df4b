package config

// SinkAccounts returns the accounts whose tokens go to a sink, by name.
func (c *Config) SinkAccounts(s Sink) []Account {
	var all []Account
	for _, name := range keysOf(c.Accounts) {
		if a := c.Accounts[name]; s.routes(a) {
			all = append(all, a)
		}
	}
	return all
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
	var all []Account
	for _, name := range keysOf(c.Accounts) {
		if c.Accounts[name].Provider == provider {
			all = append(all, c.Accounts[name])
		}
	}
	return all
}
