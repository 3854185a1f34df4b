package filestest_test

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// A program can be executed as soon as it is written, whatever is executed beside it.
func TestWriteProgram(t *testing.T) {
	dir := t.TempDir()
	content := append([]byte("#!/bin/sh\nexit 0\n"), make([]byte, 1<<20)...)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			path := filepath.Join(dir, string(rune('a'+n)))
			for range 25 {
				if err := filestest.WriteProgram(path, content, 0o700); err != nil {
					t.Error(err)
				}
				if err := exec.Command(path).Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
