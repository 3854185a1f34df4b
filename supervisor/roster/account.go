package roster

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Account is an account of the configuration as its Keeper wants it.
func Account(cfg *config.Config, c config.Account) refresh.Account {
	return refresh.Account{
		Account: sdk.Account{
			Name: c.Name, ClientID: c.ClientID, ClientSecret: c.ClientSecret,
			RedirectURL: c.RedirectURL, Scopes: c.Scopes, Settings: c.Settings,
		},
		BeforeExpiry: c.Refresh.BeforeExpiry,
		Every:        c.Refresh.Every,
		Jitter:       c.Refresh.Jitter,
		Timeout:      c.Refresh.Timeout,
		MaxFailures:  c.Refresh.MaxFailures,
		WholeGrant:   seenByOthers(cfg, c),
	}
}

// seenByOthers says whether other programs read the account's refresh token in
// a file, which may come back with any that it ever held.
func seenByOthers(cfg *config.Config, c config.Account) bool {
	if c.SharedFile != nil {
		return true
	}
	for _, s := range cfg.Sinks {
		if s.Traits().InFiles && s.IncludeRefreshToken && cfg.SinkWants(s, c.Name, c.Provider) {
			return true
		}
	}
	return false
}

// Names are the accounts' names.
func Names(accounts []config.Account) []string {
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = a.Name
	}
	return names
}
