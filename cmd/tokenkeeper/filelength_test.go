package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mostLines is how long a file of code may be that is read in one sitting.
const mostLines = 400

// TestNoFileIsTooLong counts the lines of what people write, tests too.
func TestNoFileIsTooLong(t *testing.T) {
	longest, root := 0, filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".pb.go") {
			return err
		}
		b, err := os.ReadFile(name)
		if n := bytes.Count(b, []byte("\n")); n > mostLines {
			t.Errorf("%s has %d lines, and a file may have %d: find what is crowded in it, and give that a file of its own", name, n, mostLines)
		} else {
			longest = max(longest, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if longest < mostLines/2 {
		t.Errorf("no file has more than %d lines: this test has not seen them", longest)
	}
}
