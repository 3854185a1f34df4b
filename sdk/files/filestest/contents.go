package filestest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Contents is what stands in a directory: each path with what is in it, but for sockets,
// which are there only while somebody listens. Two that are equal have the same files.
func Contents(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSocket != 0 {
			return err
		}
		all.WriteString(path + "\n")
		if e.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
