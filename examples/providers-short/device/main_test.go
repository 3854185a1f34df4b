package main

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:     func() sdk.Provider { return &broker{} },
		Account: sdk.Account{ClientID: "app"},
		PointTo: func(a *sdk.Account, url string) { a.Settings["token_url"], a.Settings["device_url"] = url, url },
	})
}
