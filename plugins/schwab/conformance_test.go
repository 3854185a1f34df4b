package schwab_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New: func() sdk.Provider { return schwab.New() },
		Account: sdk.Account{
			ClientID: "app-key", ClientSecret: sdk.NewSecret("app-secret"), RedirectURL: "https://127.0.0.1:8182",
		},
		Broker: providertest.Broker{
			Success: func(access, refresh string) (int, string) {
				return 200, fmt.Sprintf(`{"expires_in":%d,"token_type":"Bearer","scope":"api","refresh_token":%q,"access_token":%q,"id_token":"I"}`,
					providertest.Lifetime/time.Second, refresh, access)
			},
			InvalidGrant:      func() (int, string) { return 400, deadToken },
			KeepsRefreshToken: true,
		},
	})
}
