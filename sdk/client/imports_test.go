package client_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestStaysLight: a consumer links the standard library and x/oauth2, which
// itself needs nothing else.
func TestStaysLight(t *testing.T) {
	const own, oauth2 = "github.com/tokenkeeper/tokenkeeper/sdk/client", "golang.org/x/oauth2"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, own) {
		t.Fatalf("go list did not list this package: %q", deps)
	}
	for _, dep := range deps {
		if dep != own && dep != oauth2 && !strings.HasPrefix(dep, oauth2+"/") {
			t.Errorf("the client depends on %s", dep)
		}
	}
}
