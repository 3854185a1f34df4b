package programs

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// echo is a plugin that fails with all the settings that it was given.
type echo struct{ grpc.ClientConnInterface }

func (echo) Invoke(_ context.Context, _ string, request, _ any, _ ...grpc.CallOption) error {
	var all []string
	for k, v := range request.(*provider.RefreshRequest).GetAccount().GetSettings() {
		all = append(all, k+" is "+v)
	}
	return status.Error(codes.Unavailable, strings.Join(all, ", "))
}

// A setting that is given by reference is a secret, although neither its name
// nor its look says so; one that stands in the file is as its name and look are.
func TestSettingsByReferenceAreSecret(t *testing.T) {
	cfg, _, err := config.Load(config.Source{
		Bytes: []byte("state_dir: state\naccounts:\n  main: {provider: saxo, client_id: id, settings: {phrase: \"${env:PHRASE}\", mode: plain words}}\n"),
		Name:  "test.yaml", Dir: t.TempDir(), Environ: func() []string { return []string{"PHRASE=correct horse"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := OfProvider(cfg, "saxo", func(string) ([]string, bool) { return []string{"x"}, true })
	if err != nil {
		t.Fatal(err)
	}
	request := &provider.RefreshRequest{Account: &provider.Account{Name: "main", Settings: cfg.Accounts["main"].Settings}}
	err = hearsay.Conn{To: echo{}, Secrets: c.Secrets}.Invoke(t.Context(), "Refresh", request, &provider.TokenResponse{})
	if err == nil || strings.Contains(err.Error(), "correct horse") || !strings.Contains(err.Error(), "plain words") {
		t.Errorf("it says: %v", err)
	}
}
