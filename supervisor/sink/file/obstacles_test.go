package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// Of very many files those that are alike are tried once; what is in the way of a
// single one is found all the same, and folders that are missing are counted.
func TestObstaclesOfManyFiles(t *testing.T) {
	var accounts []config.Account
	for i := range 300 {
		accounts = append(accounts, config.Account{Name: fmt.Sprintf("a%03d", i), Provider: "p"})
	}
	dir := t.TempDir()
	obstacles := func(path string) string {
		var all []string
		for _, o := range (Type{}).Obstacles(config.Sink{Destination: &Settings{Path: filepath.Join(dir, path)}}, accounts) {
			all = append(all, fmt.Sprintf("%s: %v (%s)", o.Key, o.Err, o.Missing))
		}
		return strings.Join(all, "\n")
	}
	if got := obstacles("{account}.json"); got != "" {
		t.Errorf("where nothing is in the way: %s", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "a200.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := obstacles("{account}.json"); !strings.HasPrefix(got, "path: "+filepath.Join(dir, "a200.json")+" can't be replaced") {
		t.Errorf("of a folder in the place of one of the files: %q", got)
	}
	first := filepath.Join(dir, "none", "a000")
	if got, want := obstacles("none/{account}/t.json"), "path: the folder "+first+" does not exist, as 299 others of its accounts: make it for the user that runs Tokenkeeper ("+first+")"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := obstacles("none/{account}.json"), "path: the folder "+filepath.Dir(first)+" does not exist: make it"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
