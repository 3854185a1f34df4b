package roster

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Account is an account of the configuration as its Keeper wants it.
func (p *Present) Account(c config.Account) refresh.Account {
	return refresh.Account{
		Account: sdk.Account{
			Name: c.Name, ClientID: c.ClientID, ClientSecret: c.ClientSecret,
			RedirectURL: c.RedirectURL, Scopes: c.Scopes, Settings: c.Settings,
		},
		OtherSecrets: c.OtherSecrets,
		ClientFirst:  c.ClientFirst,
		BeforeExpiry: c.Refresh.BeforeExpiry,
		Every:        c.Refresh.Every,
		Jitter:       c.Refresh.Jitter,
		Budget:       refresh.Budget{PerHour: c.Refresh.Budget, AcceptRisk: c.Refresh.AcceptRisk},
		Timeout:      c.Refresh.Timeout,
		MaxFailures:  c.Refresh.MaxFailures,
		WholeGrant:   c.SharedFile != nil || p.inFiles[c.Name],
	}
}

// inFiles are the accounts whose refresh token other programs read in a file of a
// sink, which may come back with any that it ever held.
func inFiles(cfg *config.Config) map[string]bool {
	all := map[string]bool{}
	for _, s := range cfg.Sinks {
		if !s.IncludeRefreshToken || !s.Traits().InFiles {
			continue
		}
		for _, a := range cfg.SinkAccounts(s) {
			all[a.Name] = true
		}
	}
	return all
}

// Names are the accounts' names.
func Names(accounts []config.Account) []string {
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = a.Name
	}
	return names
}
