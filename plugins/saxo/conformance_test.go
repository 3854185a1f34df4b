package saxo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/saxo"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

func TestConformance(t *testing.T) {
	suite := providertest.Suite{
		New: func() sdk.Provider { return saxo.New() },
		Account: sdk.Account{
			ClientID: "app-key", ClientSecret: sdk.NewSecret("app-secret"), RedirectURL: "https://127.0.0.1:8182",
			Settings: map[string]string{"environment": "live"},
		},
		Broker: providertest.Broker{Success: func(access, refresh string) (int, string) {
			return 201, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":%d,"refresh_token":%q,"refresh_token_expires_in":3600,"base_uri":"https://gateway"}`,
				access, providertest.Lifetime/time.Second, refresh)
		}},
	}
	t.Run("secret", func(t *testing.T) { providertest.Run(t, suite) })
	t.Run("pkce", func(t *testing.T) {
		suite.Account.ClientSecret = sdk.Secret{}
		suite.Private = map[string]sdk.Secret{"code_verifier": sdk.NewSecret("canary-verifier")}
		providertest.Run(t, suite)
	})
}
