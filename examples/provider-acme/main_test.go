package main

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// The suite plays Acme's server at its worst: lost answers, redirects, HTML,
// garbage, and the death of this process in the middle of a refresh.
func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:     func() sdk.Provider { return &acme{} },
		Account: sdk.Account{ClientID: "app", ClientSecret: sdk.NewSecret("secret"), RedirectURL: "https://127.0.0.1:8182"},
		Broker:  providertest.Broker{InvalidGrant: func() (int, string) { return 400, `{"error":"token_revoked"}` }},
	})
}
