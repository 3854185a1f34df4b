// Command provider-limited is Schwab's provider, for a broker that allows three
// requests an hour.
package main

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

type provider struct{ *schwab.Provider }

func (p provider) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.Provider.Describe(ctx)
	d.Name, d.Limits = "limited", sdk.Limits{RequestsPerHour: 3}
	return d, err
}

func main() { sdk.Serve(provider{schwab.New()}) }
