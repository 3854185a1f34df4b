// Command tokenkeeper-provider-session is the shortest provider of a broker whose
// sessions die of idleness. sdk/README.md shows it.
package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func main() { sdk.Serve(broker{}) }

type broker struct{ sdk.NoRefresh }

func (broker) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name:           "session",
		Version:        "0.1.0",
		KeepaliveEvery: time.Minute, // it dies of six idle ones
		Policy:         sdk.Policy{AccessLifetime: 24 * time.Hour, PKCE: sdk.PKCENone},
		Settings:       []sdk.Setting{{Name: "beat_url", Description: "What keeps a session alive.", Required: true}},
	}, nil
}

func (broker) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	beat, err := http.NewRequestWithContext(ctx, http.MethodPost, req.Account.Settings["beat_url"], nil)
	if err != nil {
		return "", errors.New("beat_url is no address")
	}
	beat.Header.Set("Authorization", "Bearer "+req.Token.AccessToken.Reveal())
	resp, err := http.DefaultClient.Do(beat)
	if err != nil {
		return "", errors.New("the broker does not answer") // err holds the address
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return sdk.Alive, nil
	case http.StatusUnauthorized:
		return sdk.Gone, nil
	}
	return "", errors.New("the broker answers with " + resp.Status[:3]) // nobody knows
}
