package gcpsecretmanager_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager"
	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest"
)

// TestConformance runs the suite within this process and with the program that
// is shipped.
func TestConformance(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sink")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/tokenkeeper-sink-gcp-secret-manager")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	servers := map[string]*secretmanagertest.Server{}
	serve := func(t *testing.T) sdk.Settings {
		r := start(t)
		servers[r.address] = r.Server
		return r.settings
	}
	at := func(address string) sdk.Settings {
		return sdk.Settings{
			"project": sdk.NewSecret(secretmanagertest.Project), "endpoint": sdk.NewSecret(address), "insecure": sdk.NewSecret("true"),
		}
	}
	sinktest.Run(t, sinktest.Suite{
		New:      func() sdk.Sink { return gcpsecretmanager.New() },
		Program:  []string{program},
		Settings: serve,
		Stored: func(_ *testing.T, s sdk.Settings, account string) string {
			var all strings.Builder
			for _, v := range servers[s.Get("endpoint")].Versions("tokenkeeper-" + account) {
				all.WriteString(v.Payload) // nothing when it is destroyed
			}
			return all.String()
		},
		Missing: func(*testing.T) sdk.Settings { return at("127.0.0.1:1") }, // nobody is given this port
		Hanging: func(t *testing.T) sdk.Settings {
			l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			return at(l.Addr().String())
		},
	})
}
