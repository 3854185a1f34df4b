package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts/mountstest"
)

// A supervisor reads its configuration again for as long as it lives, and leaves behind no
// look at a file system that does not answer each time.
func TestRereadingAsksASilentFileSystemOnce(t *testing.T) {
	gone := mountstest.Silent(t)
	path := filepath.Join(t.TempDir(), "tk.yaml")
	text := "accounts: {a: {provider: schwab, client_id: id, client_secret: \"${file:" + gone + "/secret}\"}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read := newEnv(strings.NewReader(""), io.Discard, io.Discard).reread(path, nil)
	for times := range 3 {
		began := time.Now()
		if _, err := read(); err == nil || !strings.Contains(err.Error(), mounts.Remedy) {
			t.Errorf("it says %v", err)
		}
		if took := time.Since(began); times > 0 && took > 3*time.Second {
			t.Errorf("reading it again took %s: another look was made", took)
		}
	}
}
