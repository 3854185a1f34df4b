package gcpsecretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// clients keeps one connection for each service and identity.
type clients struct {
	mu   sync.Mutex
	open map[identity]*secretmanager.Client
}

type identity struct {
	endpoint, credentialsFile string
	insecure                  bool
}

func identityOf(set settings) identity {
	return identity{set.endpoint, set.credentialsFile, set.insecure}
}

func (c *clients) get(ctx context.Context, set settings) (*secretmanager.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client, ok := c.open[identityOf(set)]; ok {
		return client, nil
	}
	options, err := optionsOf(set)
	if err != nil {
		return nil, err
	}
	// The credentials outlive this delivery.
	client, err := secretmanager.NewClient(context.WithoutCancel(ctx), options...)
	if err != nil {
		// The library's text may quote what it read.
		return nil, fmt.Errorf("%s: found no usable Google credentials: set %s, or run where the machine has a service account",
			set, settingCredentialsFile)
	}
	// Every call is made once: the supervisor decides about trying again.
	client.CallOptions = &secretmanager.CallOptions{}
	if c.open == nil {
		c.open = map[identity]*secretmanager.Client{}
	}
	c.open[identityOf(set)] = client
	return client, nil
}

// forgetIfUnauthenticated makes the next delivery read the credentials anew.
func (c *clients) forgetIfUnauthenticated(set settings, err error) {
	if !errors.Is(err, errUnauthenticated) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Not closed: other deliveries may still use it. It has no goroutine once
	// it is idle.
	delete(c.open, identityOf(set))
}

func (c *clients) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for _, client := range c.open {
		all = append(all, client.Close())
	}
	c.open = nil
	return errors.Join(all...)
}

// maxReconnectDelay keeps a service that is back from being ignored for
// gRPC's usual two minutes.
const maxReconnectDelay = 5 * time.Second

func optionsOf(set settings) ([]option.ClientOption, error) {
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = maxReconnectDelay
	options := []option.ClientOption{
		option.WithTelemetryDisabled(),
		option.WithGRPCDialOption(grpc.WithDisableRetry()),
		option.WithGRPCDialOption(grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 10 * time.Second})),
	}
	if set.endpoint != "" {
		options = append(options, option.WithEndpoint(set.endpoint))
	}
	if set.insecure {
		return append(options, option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))), nil
	}
	if set.credentialsFile == "" {
		return options, nil
	}
	kind, err := kindOfCredentials(set.credentialsFile)
	if err != nil {
		return nil, err
	}
	return append(options, option.WithAuthCredentialsFile(kind, set.credentialsFile)), nil
}

// kindOfCredentials reads what a credentials file says that it is.
func kindOfCredentials(path string) (option.CredentialsType, error) {
	b, _, err := files.ReadWhole(path, 1<<20)
	if err != nil {
		return "", fmt.Errorf("setting %s: %w", settingCredentialsFile, err)
	}
	var file struct {
		Type option.CredentialsType `json:"type"`
	}
	known := []option.CredentialsType{option.ServiceAccount, option.AuthorizedUser, option.ImpersonatedServiceAccount, option.ExternalAccount}
	if json.Unmarshal(b, &file) != nil || !slices.Contains(known, file.Type) {
		return "", fmt.Errorf("setting %s: %s is no file of Google credentials: its type must be one of %v",
			settingCredentialsFile, path, known)
	}
	return file.Type, nil
}
