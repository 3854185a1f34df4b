// Command provider-session is the shortest provider of a broker whose sessions die
// of idleness, with a login each day.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

type provider struct{ sdk.NoRefresh }

func (provider) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "session", Version: "0.1.0", KeepaliveEvery: time.Minute,
		Policy:   sdk.Policy{AccessLifetime: 24 * time.Hour},
		Settings: []sdk.Setting{{Name: "tickle_url", Required: true}},
	}, nil
}

func (provider) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.Account.Settings["tickle_url"], nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+req.Token.AccessToken.Reveal())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK { // which says nothing of the session
		return "", fmt.Errorf("the broker answered with HTTP %d", answer.StatusCode)
	}
	var body struct {
		Iserver struct {
			AuthStatus struct{ Authenticated, Competing bool }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return "", fmt.Errorf("the broker's answer, HTTP %d, is not readable: %w", answer.StatusCode, err)
	}
	switch s := body.Iserver.AuthStatus; {
	case s.Competing:
		return sdk.Competing, nil
	case s.Authenticated:
		return sdk.Alive, nil
	}
	return sdk.Gone, nil
}

func main() { sdk.Serve(provider{}) }
