package main

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:     func() sdk.Provider { return broker{} },
		PointTo: func(a *sdk.Account, url string) { a.Settings["beat_url"] = url },
	})
}
