// Command provider-revokes is Schwab's provider, for a broker that revokes tokens. Under a
// name that ends with -client it is for one that ends every login of the client with it.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

type provider struct {
	*schwab.Provider
	http oauth.Client
}

func (p *provider) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.Provider.Describe(ctx)
	program, perr := os.Executable()
	d.Name = strings.TrimPrefix(filepath.Base(program), "tokenkeeper-provider-")
	if strings.HasSuffix(d.Name, "-client") {
		d.Revokes = sdk.RevokesClient
	}
	d.Settings = append(d.Settings, sdk.Setting{Name: "revoke_url", Description: "Where tokens are revoked."})
	return d, errors.Join(err, perr)
}

func (p *provider) Revoke(ctx context.Context, req sdk.RevokeRequest) error {
	return p.http.Revoke(ctx, oauth.Endpoint{RevokeURL: req.Account.Settings["revoke_url"], AuthStyle: oauth.AuthInHeader}, req)
}

func main() { sdk.Serve(&provider{Provider: schwab.New()}) }
