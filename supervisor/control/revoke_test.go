package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// Who asks for a revocation says to what he agrees, and his word comes through.
func TestRevocationsReachTheBackend(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	c, ctx := control.NewClient(socket), t.Context()
	if got, err := c.RevokePlan(ctx, "main"); err != nil || got.Account != "main" || got.Version != 5 || got.Ends != control.EndsClient || len(got.Others) != 1 {
		t.Errorf("RevokePlan = %+v, %v", got, err)
	}
	if got, err := c.Revoke(ctx, "main", control.EndsClient); err != nil || got.Account != "main" || got.Version != 5 || got.Took != time.Second {
		t.Errorf("Revoke = %+v, %v", got, err)
	}
	if _, err := c.Revoke(ctx, "main", "everything"); err == nil || !strings.Contains(err.Error(), "ends must be token, grant or client") {
		t.Errorf("Revoke of everything: %v", err)
	}
	if got, err := c.ForgetAccount(ctx, "old", true); err != nil || got.Revoked.Unix() != 5 {
		t.Errorf("ForgetAccount of one whose login is revoked = %+v, %v", got, err)
	}
}
