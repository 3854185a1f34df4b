package format

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Files that others write too, as today's program writes them: each is read, and
// written again with the next token, and what somebody else has put there stays.
func TestGoldenSharedFiles(t *testing.T) {
	for name, file := range map[string]string{JSON: "json", SaxoCache: "saxo-cache", Schwab: "schwab", SchwabPy: "schwab-py"} {
		b, err := os.ReadFile(filepath.Join("testdata", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatal(err)
		}
		members["theirs"] = json.RawMessage(`{"level":9007199254740993}`)
		if b, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		o := Options{Location: time.UTC}
		before, err := Decode(name, b, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		next := before
		next.AccessToken, next.RefreshToken = sdk.NewSecret("the next access token"), sdk.NewSecret("the next refresh token")
		written, err := Merge(name, b, next, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, err := Decode(name, written, o)
		if err != nil || !after.RefreshToken.Equal(next.RefreshToken) || !after.AccessToken.Equal(next.AccessToken) ||
			!after.Expiry.Equal(before.Expiry) || !after.LoginAt.Equal(before.LoginAt) {
			t.Errorf("%s: written as\n%s (%v)", name, written, err)
		}
		if json.Unmarshal(written, &members) != nil || string(members["theirs"]) != `{"level":9007199254740993}` {
			t.Errorf("%s: what is theirs is written as %s", name, members["theirs"])
		}
	}
}
