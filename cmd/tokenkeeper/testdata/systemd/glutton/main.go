// Command glutton is a provider that wants more memory than there is.
package main

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func main() { sdk.Serve(glutton{}) }

type glutton struct{}

func (glutton) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "glutton", Version: "0.1.0",
		Policy: sdk.Policy{AccessLifetime: time.Hour, BeforeExpiry: time.Minute},
	}, nil
}

func (glutton) Refresh(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
	var eaten [][]byte
	for ctx.Err() == nil {
		bite := make([]byte, 1<<20)
		for i := 0; i < len(bite); i += 4096 {
			bite[i] = 1
		}
		eaten = append(eaten, bite)
	}
	_ = eaten[0]
	return sdk.Token{}, ctx.Err()
}
